"""`genoseq codec`: any file as DNA, and back."""

from __future__ import annotations

import logging

from omegaconf import DictConfig

from genoseq.errors import require_choice
from genoseq.inference import read_records
from genoseq.inference.outputs import atomic_file, open_fasta, write_fasta
from genoseq.inference.records import Record
from genoseq.paths import require_file
from genoseq.sequence import decode_bytes, encode_bytes

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Write `out` as `configs/codec.yaml` describes it."""
    require_choice("action", config.action, ("encode", "decode"))
    if config.action == "encode":
        _encode(config)
    else:
        _decode(config)
    log.info("written to %s", config.out)


def _encode(config: DictConfig) -> None:
    with open_fasta(config.out) as file:
        data = require_file(config.input, "the file to encode").read_bytes()
        blocks = encode_bytes(data, block_bytes=config.block_bytes)
        write_fasta(file, (Record(f"block_{number}", block) for number, block in enumerate(blocks)))
    bases = sum(map(len, blocks))
    log.info("%s bytes in %s blocks, %.3f bits a base", len(data), len(blocks), 8 * len(data) / bases)


def _decode(config: DictConfig) -> None:
    with atomic_file(config.out) as path:
        decoded = decode_bytes([record.sequence[:] for record in read_records(config.input)])
        path.write_bytes(decoded.data)
    log.info("%s bytes; %s blocks were put right", len(decoded.data), len(decoded.corrected))
