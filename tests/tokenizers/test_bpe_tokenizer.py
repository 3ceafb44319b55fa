"""Byte-pair encoding: DNABERT-2's own file, words learnt from a genome, and files of other kinds."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st

from genoseq.errors import CheckpointError, ConfigError, SequenceError
from genoseq.sequence import reverse_complement
from genoseq.tokenizers import BpeTokenizer, KmerTokenizer, load_tokenizer, read_tokenizer

MERGES = ["A A", "C G", "AA T", "AA CG"]
dna = st.text(alphabet="ACGTN", max_size=100)


@pytest.fixture(scope="session")
def official_file(shared: Path) -> Path:
    return shared / "data/bench/tokenizers/dnabert2_tokenizer.json"


def tiny(**settings: Any) -> BpeTokenizer:
    return BpeTokenizer(merges=MERGES, **settings)


def test_words_are_merged_in_their_order() -> None:
    tokenizer = tiny()
    assert tokenizer.vocabulary[:9] == ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *"ACGT")
    assert tokenizer.vocabulary[9:] == ("AA", "CG", "AAT", "AACG")
    ids = tokenizer.encode("AACGAATNaaT", add_special_tokens=False)
    assert [tokenizer.vocabulary[index] for index in ids] == ["AACG", "AAT", "[UNK]", "AAT"]
    assert tokenizer.decode(ids) == "AACGAATNAAT"
    assert tokenizer.encode("A").tolist() == [1, 5, 2]
    assert tiny(special_tokens="none").encode("A").tolist() == [5]


def test_dnabert2s_own_file_gives_its_ids(official_file: Path, tmp_path: Path) -> None:
    official = tokenizers.Tokenizer.from_file(str(official_file))
    tokenizer = read_tokenizer(file=official_file)
    generator = np.random.default_rng(0)
    for length in (0, 1, 7, 500, 3000):
        sequence = "".join(generator.choice(list("ACGTN"), p=[0.24, 0.24, 0.24, 0.24, 0.04], size=length))
        whole, bare = official.encode(sequence), official.encode(sequence, add_special_tokens=False)
        assert tokenizer.encode(sequence).tolist() == whole.ids
        assert tokenizer.encode(sequence, add_special_tokens=False).tolist() == bare.ids
        assert tokenizer.offsets(bare.ids, length).tolist() == [list(span) for span in bare.offsets]
    assert tokenizer.vocab_size == 4096
    assert (tokenizer.pad_id, tokenizer.mask_id) == (3, 4)
    # A folder as it is downloaded is read as well, and what is saved is the same tokenizer.
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "tokenizer.json").write_bytes(official_file.read_bytes())
    assert load_tokenizer(tmp_path / "release") == tokenizer
    tokenizer.save(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved") == tokenizer


@pytest.mark.parametrize("special_tokens", ["cls_sep", "none"])
@given(sequence=dna)
def test_what_is_exported_is_the_same_to_hugging_face(special_tokens, sequence: str) -> None:
    tokenizer = tiny(special_tokens=special_tokens)
    exported = tokenizer.to_hugging_face()
    assert tokenizers.Tokenizer.from_str(exported).encode(sequence).ids == tokenizer.encode(sequence).tolist()
    assert BpeTokenizer.from_hugging_face(json.loads(exported)) == tokenizer


@given(sequence=dna)
def test_decoding_undoes_encoding(sequence: str) -> None:
    assert tiny().decode(tiny().encode(sequence)) == sequence


def test_learnt_words_are_of_the_size_that_was_asked_for() -> None:
    generator = np.random.default_rng(0)
    sequence = "".join(generator.choice(list("ACGT"), size=5000)) + "NNN" + "ACGTTTGA" * 100
    tokenizer = BpeTokenizer.train([sequence], vocab_size=64)
    assert tokenizer.vocab_size == 64
    assert tokenizer == BpeTokenizer.train([sequence], vocab_size=64)
    assert tokenizer.known_ids.tolist() == list(range(5, 64))
    assert "ACGTTTGA" in "".join(tokenizer.vocabulary)
    assert BpeTokenizer.train(["ACAC"], vocab_size=100).vocab_size < 100
    masked = BpeTokenizer.train(["acacacACG"], vocab_size=100, lowercase="mask")
    assert "ACAC" not in masked.vocabulary
    with pytest.raises(ConfigError, match="vocab_size=8"):
        BpeTokenizer.train([sequence], vocab_size=8)


@given(sequence=dna)
def test_other_strand_is_encoded_anew(sequence: str) -> None:
    tokenizer = tiny()
    turned = tokenizer.encode(reverse_complement(sequence))
    ids = tokenizer.encode(sequence)
    assert tokenizer.reverse_complement(ids).tolist() == turned.tolist()
    assert tokenizer.reverse_complement(torch.from_numpy(ids)).tolist() == turned.tolist()


def test_the_other_strand_of_a_batch_or_of_hidden_words_is_refused() -> None:
    with pytest.raises(SequenceError, match="turn the letters"):
        tiny().reverse_complement(tiny()(["ACGT", "A"]).input_ids)
    with pytest.raises(SequenceError, match="then hide words"):
        tiny().reverse_complement(np.array([5, 4, 6]))
    with pytest.raises(SequenceError, match="a token for each"):
        _ = tiny().base_ids


def test_a_worker_process_gets_the_same_tokenizer() -> None:
    copy = pickle.loads(pickle.dumps(tiny()))
    assert copy == tiny()
    assert copy.encode("AACG").tolist() == tiny().encode("AACG").tolist()


@pytest.mark.parametrize("merges", ["A A", ["AA"], ["A A A"], ["AA T", "A A"], ["A N"], [["A", "A"]], 3])
def test_merges_of_no_known_words_are_refused(merges) -> None:
    with pytest.raises(ConfigError, match="merge"):
        BpeTokenizer(merges=merges)


def described() -> dict[str, Any]:
    return json.loads(tiny().to_hugging_face())


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda file: file["model"].update(type="WordPiece"), "type 'WordPiece'; wanted BPE"),
        (lambda file: file["model"].pop("merges"), "wanted BPE of bases, with its vocab and merges"),
        (lambda file: file.update(normalizer={"type": "Lowercase"}), "it has normalizer"),
        (lambda file: file.update(pre_tokenizer={"type": "ByteLevel"}), "pre_tokenizer ByteLevel"),
        (lambda file: file["model"].update(byte_fallback=True), "it has byte_fallback"),
        (lambda file: file["model"].update(unk_token="<unk>"), "it has unk_token <unk>"),
        (lambda file: file["added_tokens"].append({"content": "<eot>"}), "the token <eot>"),
        (lambda file: file["post_processor"]["single"].pop(0), r"puts \['A', '\[SEP\]'\] around"),
        (lambda file: file["post_processor"].pop("single"), "wanted .CLS. and .SEP., or nothing"),
        (lambda file: file["model"]["merges"].pop(0), "merge 1 .* wanted two words"),
        (lambda file: file["model"]["merges"].append(["H", "I"]), "merge 4 .* wanted two words"),
        (lambda file: file["model"]["merges"].append(3), "merge 4 .* wanted two words"),
        (lambda file: file["model"]["vocab"].update(A=6, C=5), "in the order of their merges"),
    ],
)
def test_hugging_face_files_of_another_kind_are_refused(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    content = described()
    damage(content)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=complaint):
        load_tokenizer(tmp_path)


def test_a_file_of_another_tokenizer_is_that_tokenizer(tmp_path: Path) -> None:
    assert read_tokenizer(file=KmerTokenizer(k=3).save(tmp_path)) == KmerTokenizer(k=3)
