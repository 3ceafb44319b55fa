"""Splice sites from an annotation: which places are sites, which are decoys, and what is cut around them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from genoseq.data import Fasta, find_leaks, read_transcripts, splice_sites
from genoseq.errors import ConfigError, DataError
from genoseq.sequence import Transcript, reverse_complement

# A GT at 12, the donor, and one at 17 inside of the intron; AGs that end at 24, the acceptor, and 30.
GENE = "CCATGCCCCACA" + "GTAAAGTCCCAG" + "CCCCAGCCCTAACC"
PARTS = ((2, 12), (24, 36))


def genome(tmp_path: Path, letters: str) -> Fasta:
    path = tmp_path / "a.fa"
    path.write_text(f">c\n{letters}\n")
    return Fasta(path)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_sites_and_decoys_of_a_small_gene(tmp_path: Path, strand: str) -> None:
    letters, parts = GENE.lower(), PARTS
    if strand == "-":
        letters = reverse_complement(letters)
        parts = tuple((len(GENE) - end, len(GENE) - start) for start, end in reversed(PARTS))
    gene = Transcript("t", "c", strand, parts)
    fasta = genome(tmp_path, letters)

    def places(site: str) -> dict[int, tuple[int, str]]:
        table = splice_sites([gene, gene], fasta, site=site, flank=4)
        assert set(table["group"]) == {"c"}
        borders = table["name"].str.extract(r"c:(\d+)\(")[0].astype(int)
        at = borders if strand == "+" else len(GENE) - borders
        return dict(zip(at, zip(table["label"], table["sequence"], strict=True), strict=True))

    assert places("donor") == {12: (1, "CACAGTAA"), 17: (0, "TAAAGTCC")}
    assert places("acceptor")[24] == (1, "CCAGCCCC")
    assert sorted(label for label, _ in places("acceptor").values()) == [0, 1]


def test_sites_without_their_dinucleotide_a_decoy_or_room_are_left_out(tmp_path: Path) -> None:
    gene = Transcript("t", "c", "+", PARTS)
    other = Transcript("u", "c", "+", ((2, 17), (24, 36)))
    cases = [
        (GENE.replace("ACAGTAA", "ACAATAA"), [gene], 4, None),
        (GENE.replace("AAAGTCC", "AAATTCC"), [gene], 4, None),
        (GENE, [gene, other], 4, None),  # the one decoy of each is a site of the other
        (GENE, [gene], 13, None),
        (GENE.replace("CCCCACA", "CCCNACA"), [gene], 5, None),
        (GENE, [gene], 4, 10),  # 8 to 16 lies in two blocks
    ]
    for letters, transcripts, flank, block in cases:
        with pytest.raises(DataError, match="no donor"):
            splice_sites(transcripts, genome(tmp_path, letters), site="donor", flank=flank, block=block)
    assert len(splice_sites([gene], genome(tmp_path, GENE), site="donor", flank=4)) == 2
    with pytest.raises(ConfigError, match="block=7"):
        splice_sites([gene], genome(tmp_path, GENE), site="donor", flank=4, block=7)
    with pytest.raises(ConfigError, match="donor, acceptor"):
        splice_sites([gene], genome(tmp_path, GENE), site="exon")  # type: ignore[arg-type]


def test_real_human_sites_are_cut_into_blocks_that_share_no_base(shared: Path, tmp_path: Path) -> None:
    bench = shared / "data/bench"
    letters = gzip.decompress((bench / "genomes/human_GRCh38_chr9_first1Mb.fa.gz").read_bytes())
    path = tmp_path / "9.fa"
    path.write_bytes(letters.replace(b">chr9", b">9", 1))
    transcripts = read_transcripts(bench / "annotation/human_GRCh38.91_chr9_1_1000000.gtf.gz").records
    for site, dinucleotide, start in (("donor", "GT", 80), ("acceptor", "AG", 78)):
        table = splice_sites(transcripts, Fasta(path), site=site, block=100_000)  # type: ignore[arg-type]
        true = table[table["label"] == 1]
        # 99 introns; a few are no GT-AG, or lie at a border of blocks.
        assert len(true) * 2 == len(table) > 170
        assert not table["name"].duplicated().any()
        assert (table["sequence"].str[start : start + 2] == dinucleotide).mean() > 0.97
        borders = table["name"].str.extract(r":(\d+)\(")[0].astype(int)
        assert ((borders - 80) // 100_000 == (borders + 79) // 100_000).all()
        assert (table["group"] == [f"9:{border // 100_000}" for border in borders]).all()
        groups = sorted(set(table["group"]))
        first = table[table["group"].isin(groups[::2])]["sequence"].tolist()
        second = table[~table["group"].isin(groups[::2])]["sequence"].tolist()
        assert len(groups) >= 4
        assert find_leaks(first, second).mean() < 0.05
        # Exons end and begin as they do: after MAG, before G.
        assert np.mean(true["sequence"].str[79] == "G") > 0.6 if site == "donor" else True
