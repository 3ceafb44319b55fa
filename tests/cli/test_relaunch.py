"""Lightning starts the other processes of a run from `sys.argv`: the verb has to survive it."""

import json
import subprocess
import sys

SCRIPT = """\
import json, os, subprocess, sys
from genoseq.cli import main
from genoseq.cli.verbs import VERBS, Verb

class Module:
    @staticmethod
    def run(config):
        from lightning.fabric.strategies.launchers.subprocess_script import _hydra_subprocess_cmd
        from omegaconf import OmegaConf

        rank = int(os.environ.get("LOCAL_RANK", 0))
        print(json.dumps({"rank": rank, "settings": OmegaConf.to_container(config)}), flush=True)
        if rank == 0:
            command, folder = _hydra_subprocess_cmd(local_rank=1)
            subprocess.run(command, cwd=folder, check=True, env={**os.environ, "LOCAL_RANK": "1"})

sys.modules["relaunched"] = Module
VERBS["runner"] = Verb("runner", "a tiny verb", "relaunched", run_folder="run_dir")
main()
"""


def ranks(script, folder, *arguments):
    done = subprocess.run(
        [sys.executable, script, "runner", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["rank"] for line in lines] == [0, 1] * (len(lines) // 2)
    return [(line["rank"], line["settings"]) for line in lines]


def test_the_second_process_has_the_verb_and_the_settings(tiny_configs, tmp_path):
    script = tmp_path / "command.py"
    script.write_text(SCRIPT)
    texts = ("out=/run=3/a,b", "prompt=NAN", "chromosomes=[1,2,X]")
    [(_, first), (_, second)] = ranks(script, tmp_path, *texts, "--config-dir", str(tiny_configs))
    assert first == second
    assert first["prompt"] == "NAN"
    assert not (tmp_path / "runs").exists()


def test_the_second_process_runs_its_job_of_a_multirun(tiny_configs, tmp_path):
    script = tmp_path / "command.py"
    script.write_text(SCRIPT)
    seen = ranks(script, tmp_path, "-m", "size=1,2", "out=x", "--config-dir", str(tiny_configs))
    assert [settings["size"] for _, settings in seen] == [1, 1, 2, 2]
    assert [settings["run_dir"] for _, settings in seen] == ["runs/x/0", "runs/x/0", "runs/x/1", "runs/x/1"]
