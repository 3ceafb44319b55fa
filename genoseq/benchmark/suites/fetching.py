"""Files of data sets from the Hugging Face hub, checked against what the hub says they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genoseq.benchmark.suites.verification import verify_files
from genoseq.errors import DataError


def fetch(repository: str, files: Sequence[str], *, revision: str | None) -> Path:
    """The folder of a data set's files in the cache of huggingface_hub.

    Large files are compared with the SHA-256 that the hub keeps of them; small ones are git's own and come
    whole or not at all. Where there is no network, what was fetched before is used.

    Args:
        repository: such as `InstaDeepAI/nucleotide_transformer_downstream_tasks`.
        files: paths in it.
        revision: commit, tag or branch; None for the newest.

    Raises:
        DataError: there is no network, no such repository, or a file that it has not.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = list(dict.fromkeys(files))
    try:
        folder = Path(
            snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=wanted)
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"{repository} could not be had from the Hugging Face hub: {error} Give suite.folder=, a folder "
            "with its files, or a network."
        ) from error
    verify_files(folder, wanted, _hub_checksums(repository, wanted, folder.name))
    return folder


def _hub_checksums(repository: str, files: Sequence[str], revision: str) -> dict[str, str]:
    """Those of large files; none where the hub cannot be asked, the files then being of an earlier time."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        found: list[Any] = HfApi().get_paths_info(
            repository, list(files), repo_type="dataset", revision=revision
        )
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError):
        return {}
    return {info.path: info.lfs.sha256 for info in found if getattr(info, "lfs", None) is not None}
