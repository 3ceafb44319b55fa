"""How many genes of an annotation translate: spliced, read to the stop, and counted by what is wrong.

    python benchmarks/spliced_genes.py GFF_OR_GTF FASTA [--code 1] [--phases first]

Prints a line of counts for each chromosome, and one for each problem with the first transcript that has it.
"""

from __future__ import annotations

import argparse
from collections import Counter

from genoseq.data import read_coding_sequences


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotation")
    parser.add_argument("fasta")
    parser.add_argument(
        "--code", help="genetic code, by number or name; the annotation's own where none is given"
    )
    parser.add_argument("--phases", default="check", choices=["check", "first"])
    given = parser.parse_args()
    kept = read_coding_sequences(
        given.annotation, given.fasta, code=given.code, phases=given.phases, on_error="skip"
    )
    chromosomes: dict[str, Counter[str]] = {}
    for record in kept.records:
        assert record.transcript is not None
        counts = chromosomes.setdefault(record.transcript.chromosome, Counter())
        counts["read"] += 1
        counts["spliced"] += len(record.transcript.parts) > 1
        counts["from M"] += record.protein.startswith("M")
        counts["to a stop"] += record.has_stop
    columns = ("read", "spliced", "from M", "to a stop")
    print("\t".join(("chromosome", *columns)))
    for name, counts in [*chromosomes.items(), ("all", sum(chromosomes.values(), Counter()))]:
        print("\t".join((name, *(f"{counts[column]:,}" for column in columns))))
    for problem, number in kept.counts.items():
        first = next(error for error in kept.skipped if error.problem == problem)
        print(f"skipped, {problem}: {number:,}; the first: {first}")


if __name__ == "__main__":
    main()
