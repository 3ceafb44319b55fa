"""Splice sites of a genome as labelled tables: donors and acceptors against decoys, test by chromosome.

    python benchmarks/splice_site_tables.py Umaydis.gff3.gz Umaydis.fa OUT --test chr16 chr17 ... chr23
    python benchmarks/splice_site_tables.py chr9.gtf.gz chr9.fa OUT --block 50000

The first line made `data/labelled/umaydis_splice_{donors,acceptors}`: annotation and genome are in Debian's
package maffilter-examples (`examples/Umaydis/`; `Umaydis:chr01:1:+:2476500` of its headers is called chr01
here). Without `--test` one table is written, which a data module cuts by `group`. Prints what is in each.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import pandas as pd

from genoseq.data import Fasta, find_leaks, read_transcripts
from genoseq.data.splice_positions import SpliceSite, splice_sites

FOLDERS: dict[SpliceSite, str] = {"donor": "splice_donors", "acceptor": "splice_acceptors"}


def write(table: pd.DataFrame, path: Path) -> None:
    """A table with the same bytes each time it is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(sep="\t", index=False, lineterminator="\n")
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{path}: {len(table):,} rows, {int(table['label'].sum()):,} sites")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotation")
    parser.add_argument("fasta")
    parser.add_argument("out", type=Path)
    parser.add_argument("--prefix", default="", help="of the names of the two folders")
    parser.add_argument("--test", nargs="*", default=[], metavar="CHROMOSOME")
    parser.add_argument("--flank", type=int, default=80)
    parser.add_argument("--block", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    genome = Fasta(given.fasta)
    # Phases of U. maydis are wrong, and do not matter here.
    kept = read_transcripts(given.annotation, on_error="skip", phases="first")
    print(kept)
    for site, folder in FOLDERS.items():
        table = splice_sites(
            kept.records, genome, site=site, flank=given.flank, block=given.block, seed=given.seed
        )
        out = given.out / f"{given.prefix}{folder}"
        if not given.test:
            write(table, out / "all.tsv.gz")
            continue
        is_test = table["group"].isin(given.test)
        train, test = table[~is_test], table[is_test]
        write(train, out / "train.tsv.gz")
        write(test, out / "test.tsv.gz")
        leaks = find_leaks(train["sequence"].tolist(), test["sequence"].tolist(), k=20)
        print(f"{leaks.mean():.1%} of the test rows share 20 bases with train")


if __name__ == "__main__":
    main()
