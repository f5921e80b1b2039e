"""BT² and its baselines: the head's algebra, the losses, and training that resumes exactly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from retrieval import compat, metrics
from retrieval.compat.objectives import BCT, BT2, Batch, CosineRegression, Independent, class_means
from retrieval.compat.training import train
from retrieval.errors import InvalidVectorError

# float32 through two orthogonal layers and a sum of some tens: measured 1e-6 at worst.
TOLERANCE = 1e-5
WEIGHTS = {"follow": 5.0, "influence": 1.0, "sharpness": 10.0}


def backbone(n_in, n_out, seed=0, dropout=0.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(n_in, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, n_out))


def classified(n=600, n_in=10, n_classes=6, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(42).standard_normal((n_classes, n_in))
    labels = rng.permutation(np.arange(n) % n_classes)
    return (centres[labels] + 0.8 * rng.standard_normal((n, n_in))).astype(np.float32), labels


@pytest.mark.parametrize("orthogonal", ["cayley", "matrix_exp"])
@pytest.mark.parametrize(("old_dim", "new_dim", "extra"), [(6, 8, 2), (8, 8, 0), (8, 4, 8), (12, 5, 7)])
def test_scores_are_scaled_cosines_of_the_feature_plus_those_of_the_residue(orthogonal, old_dim, new_dim, extra):
    """⟨z, z'⟩ = C² cos(feature) + cos(residue), after steps that move P and Q away from their start."""
    head = compat.BT2Head(old_dim, new_dim, extra=extra, scale=1.5, orthogonal=orthogonal, seed=3)
    h = torch.randn(20, head.in_dim, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        head(h).full.pow(3).sum().backward()
        optimizer.step()
    out = head(h)
    assert out.full.shape == (20, head.out_dim) == (20, new_dim + extra)
    residue = functional.normalize(head.old_branch(functional.relu(h))[:, :extra], dim=1)
    expected = 1.5**2 * out.feature @ out.feature.T + residue @ residue.T
    torch.testing.assert_close(out.full @ out.full.T, expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(out.full[:, :old_dim], out.compatible, atol=0, rtol=0)
    torch.testing.assert_close(out.feature, functional.normalize(h[:, :new_dim], dim=1))


def test_the_head_is_the_formula_of_its_docstring():
    head = compat.BT2Head(5, 6, extra=3, seed=1)
    h = torch.randn(4, 11, generator=torch.Generator().manual_seed(0))
    P, Q = head.new_basis.weight, head.old_basis.weight
    old = head.old_branch.weight @ torch.clamp(h, min=0).T
    for i in range(4):
        feature = h[i, :6] / h[i, :6].norm()
        residue = (old[:, i] + head.old_branch.bias)[:3]
        u = torch.cat([residue / residue.norm(), P @ (2 * feature)])
        z = torch.cat([Q @ u[:5], u[5:]])
        torch.testing.assert_close(head(h).full[i], z, atol=TOLERANCE, rtol=0)


def test_a_head_is_seeded_and_touches_no_global_state():
    before = torch.random.get_rng_state()
    one, same, other = (compat.BT2Head(4, 6, extra=2, seed=s) for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.testing.assert_close(one.new_basis.weight, same.new_basis.weight, atol=0, rtol=0)
    assert not torch.allclose(one.new_basis.weight, other.new_basis.weight)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"old_dim": 4, "new_dim": 8, "extra": 5}, "between 0 and old_dim"),
        ({"old_dim": 12, "new_dim": 8, "extra": 2}, "does not fit"),
        ({"old_dim": 4, "new_dim": 8, "extra": 2, "scale": 0.0}, "scale"),
        ({"old_dim": 4, "new_dim": 8, "extra": 2, "orthogonal": "qr"}, "'cayley' or 'matrix_exp'"),
    ],
)
def test_impossible_heads_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        compat.BT2Head(**arguments)


def test_a_backbone_of_the_wrong_width_is_named():
    with pytest.raises(ValueError, match=r"must emit \(n, 10\), not \(3, 9\)"):
        compat.BT2Head(4, 6, extra=2)(torch.ones(3, 9))


def batch_of(n=12, old_dim=5, new_dim=6, n_classes=3):
    g = torch.Generator().manual_seed(0)
    return Batch(
        torch.randn(n, 7, generator=g),
        torch.arange(n) % n_classes,
        functional.normalize(torch.randn(n, old_dim, generator=g)),
        functional.normalize(torch.randn(n, new_dim, generator=g)),
    )


def cross_entropy(logits, labels):
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return -np.mean(np.log((odds / odds.sum(axis=1, keepdims=True))[np.arange(len(labels)), labels]))


def cosine(x, y):
    return np.sum(x * y, axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)


def test_the_loss_of_bt2_by_numpy():
    batch = batch_of()
    W = class_means(batch.old, batch.labels, 3)
    objective = BT2(
        backbone(7, 11),
        compat.BT2Head(5, 6, extra=3),
        W,
        follow=2.0,
        influence=3.0,
        regress=5.0,
        sharpness=4.0,
    )
    out = objective.head(objective.backbone(batch.inputs))
    feature, bct = out.feature.detach().numpy(), out.compatible.detach().numpy()
    y, old, new = (part.numpy() for part in batch[1:])
    weight, bias = (p.detach().numpy() for p in objective.classifier.parameters())
    unit = bct / np.linalg.norm(bct, axis=1, keepdims=True)
    expected = (
        cross_entropy(feature @ weight.T + bias, y)
        + 2.0 * np.mean(1 - cosine(new, feature))
        + 3.0 * cross_entropy(4.0 * unit @ W.numpy().T, y)
        + 5.0 * np.mean(1 - cosine(old, bct))
    )
    assert float(objective.loss(batch).detach()) == pytest.approx(expected, rel=1e-5)


def test_the_losses_of_the_baselines_by_numpy():
    batch = batch_of()
    y, old = batch.labels.numpy(), batch.old.numpy()
    W = class_means(batch.old, batch.labels, 3)
    bct = BCT(backbone(7, 6), 6, W, influence=3.0, sharpness=4.0)
    feature = bct.embed(batch.inputs).detach().numpy()
    weight, bias = (p.detach().numpy() for p in bct.classifier.parameters())
    cut = feature[:, :5] / np.linalg.norm(feature[:, :5], axis=1, keepdims=True)
    own = cross_entropy(feature @ weight.T + bias, y)
    expected = own + 3.0 * cross_entropy(4.0 * cut @ W.numpy().T, y)
    assert float(bct.loss(batch).detach()) == pytest.approx(expected, rel=1e-5)
    regression = CosineRegression(backbone(7, 6), 6, 5, 3, weight=2.0)
    feature = regression.embed(batch.inputs).detach().numpy()
    predicted = regression.embed_for_old(batch.inputs).detach().numpy()
    weight, bias = (p.detach().numpy() for p in regression.classifier.parameters())
    expected = cross_entropy(feature @ weight.T + bias, y) + 2.0 * np.mean(1 - cosine(old, predicted))
    assert float(regression.loss(batch).detach()) == pytest.approx(expected, rel=1e-5)


def test_class_means():
    means = class_means(torch.tensor([[1.0, 0], [3, 0], [0, 5]]), torch.tensor([0, 0, 1]), 2)
    assert means.tolist() == [[2.0, 0.0], [0.0, 5.0]]
    with pytest.raises(ValueError, match="class 1 has no items"):
        class_means(torch.ones(2, 2), torch.tensor([0, 2]), 3)


def test_the_schedule_warms_up_and_comes_down():
    s = compat.Schedule(epochs=10, warmup=2, rate=0.1)
    rates = [s.rate_at(step, 5) for step in range(50)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[9] == pytest.approx(0.1) == rates[10]
    assert rates[30] == pytest.approx(0.05)
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 1e-3
    with pytest.raises(ValueError, match="warmup"):
        compat.Schedule(epochs=3)


@pytest.fixture(scope="module")
def upgraded():
    """A world of 6 classes; the old model was trained on 3, and all new ones on 6."""
    X, y = classified()
    schedule = compat.Schedule(epochs=25, warmup=2, batch_size=64, rate=5e-3)
    seen = y < 3
    old = compat.train_independent(backbone(10, 6, 1), 6, X[seen], y[seen], schedule=schedule)
    new = compat.train_independent(backbone(10, 8, 2), 8, X, y, old_dim=6, schedule=schedule)
    bt2 = compat.train_bt2(
        backbone(10, 14, 3),
        compat.BT2Head(6, 8, extra=2),
        X,
        y,
        old.encode(X),
        new.encode(X),
        schedule=schedule,
        **WEIGHTS,
    )
    return old, new, bt2


def test_bt2_searches_the_untouched_old_gallery_better_than_the_old_model(upgraded):
    old, new, bt2 = upgraded
    X, y = classified(seed=1)
    gallery = old.encode(X)

    def quality(queries, rows):
        return metrics.mean_average_precision(queries, rows, y, y, exclude_same_row=True)

    assert bt2.encode(X).shape == (600, 10)
    np.testing.assert_array_equal(bt2.encode(X)[:, :6], bt2.encode_for_old(X))
    assert quality(bt2.encode_for_old(X), gallery) > quality(gallery, gallery) + 0.02
    assert quality(bt2.encode(X), bt2.encode(X)) > quality(new.encode(X), new.encode(X)) - 0.02
    # The independent model knows nothing of the old space; that is why it takes all this.
    assert quality(new.encode_for_old(X), gallery) < quality(gallery, gallery) - 0.1


def test_a_series_keeps_all_galleries(upgraded):
    """v3 follows v2's z, whose beginning follows v1: the first columns search both."""
    old, _, v2 = upgraded
    X, y = classified()
    schedule = compat.Schedule(epochs=25, warmup=2, batch_size=64, rate=5e-3)
    new = compat.train_independent(backbone(10, 12, 7), 12, X, y, schedule=schedule)
    v3 = compat.train_bt2(
        backbone(10, 22, 8),
        compat.BT2Head(10, 12, extra=2),
        X,
        y,
        v2.encode(X),
        new.encode(X),
        schedule=schedule,
        **WEIGHTS,
    )
    T, labels = classified(seed=1)
    queries = [old.encode(T), v2.encode(T), v3.encode(T)]
    M = np.zeros((3, 3))
    for later in range(3):
        for earlier in range(later + 1):
            d = queries[earlier].shape[1]
            M[later, earlier] = metrics.mean_average_precision(
                queries[later][:, :d], queries[earlier], labels, labels, exclude_same_row=True
            )
    assert M[1, 0] > M[0, 0]
    assert M[2, 0] > M[0, 0]
    # Saturated at v2: nothing to gain any more, but nothing is lost either.
    assert M[2, 1] > M[1, 1] - 0.02


def test_baselines_train_and_embed():
    X, y = classified(300)
    schedule = compat.Schedule(epochs=8, warmup=1, batch_size=64, rate=5e-3)
    old = compat.train_independent(backbone(10, 6, 1), 6, X, y, schedule=schedule).encode(X)
    bct = compat.train_bct(backbone(10, 8, 2), 8, X, y, old, schedule=schedule)
    regression = compat.train_regression(backbone(10, 8, 2), 8, X, y, old, weight=5.0, schedule=schedule)
    for model in (bct, regression):
        assert model.losses[-1] < model.losses[0]
        assert model.encode(X).shape == (300, 8)
        assert model.encode_for_old(X).shape == (300, 6)
    # Untrained, the head's vectors have a mean cosine of about 0 with the old ones.
    assert np.mean(np.sum(regression.encode_for_old(X) * old, axis=1)) > 0.7


def independent_run(**kwargs):
    X, y = classified(200)
    schedule = compat.Schedule(epochs=6, warmup=1, batch_size=32, seed=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        objective = Independent(backbone(10, 4, dropout=0.3), 4, 4, 6)
    data = Batch(torch.from_numpy(X), torch.from_numpy(y), torch.empty(200, 0), torch.empty(200, 0))

    def shake(inputs, generator):
        return inputs + 0.1 * torch.randn(inputs.shape, generator=generator)

    model = train(objective, data, schedule, augment=shake, **kwargs)
    return model, model.encode(X)


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path):
    """To the bit, with dropout and augmentation on, which draw random numbers."""
    _, whole = independent_run()
    path = tmp_path / "run.pt"
    part, halfway = independent_run(checkpoint=path, stop_after=3)
    assert len(part.losses) == 3
    resumed, vectors = independent_run(checkpoint=path)
    assert len(resumed.losses) == 6
    np.testing.assert_array_equal(vectors, whole)
    assert np.abs(halfway - whole).max() > 1e-3


def test_training_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    independent_run()
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    independent_run(checkpoint=path, stop_after=1)
    X, y = classified(150)
    with pytest.raises(ValueError, match="belongs to another run"):
        compat.train_independent(
            backbone(10, 4), 4, X, y, schedule=compat.Schedule(epochs=6, warmup=1), checkpoint=path
        )
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(compat.DamagedMapError, match="remove it to start anew"):
        independent_run(checkpoint=path)


def test_a_trained_model_is_saved_and_loaded(tmp_path, upgraded):
    _, _, bt2 = upgraded
    X, _ = classified(50, seed=4)
    bt2.save(tmp_path / "bt2.map")

    def blank(extra):
        head = compat.BT2Head(6, 8, extra=extra, seed=9)
        return BT2(backbone(10, 14), head, torch.zeros(6, 6), follow=1, influence=1, regress=1, sharpness=1)

    again = compat.TrainedModel.load(tmp_path / "bt2.map", blank(2))
    np.testing.assert_array_equal(again.encode(X), bt2.encode(X))
    assert again.losses == bt2.losses
    with pytest.raises(compat.MapFileError, match="holds a BT2, not a BCT"):
        compat.TrainedModel.load(
            tmp_path / "bt2.map", BCT(backbone(10, 8), 8, torch.zeros(6, 6), influence=1, sharpness=1)
        )
    bigger = blank(2)
    bigger.classifier = nn.Linear(8, 7)
    with pytest.raises(compat.MapFileError, match="classifier"):
        compat.TrainedModel.load(tmp_path / "bt2.map", bigger)


def test_bad_data_is_refused():
    X, y = classified(60)
    train_independent = compat.train_independent
    with pytest.raises(compat.InvalidPairsError, match="as many whole-number labels"):
        train_independent(backbone(10, 4), 4, X, y[1:])
    with pytest.raises(compat.InvalidPairsError, match=r"\[2\] are not"):
        train_independent(backbone(10, 4), 4, X[y != 2], y[y != 2])
    with pytest.raises(compat.InvalidPairsError, match="finite"):
        train_independent(backbone(10, 4), 4, np.full_like(X, np.nan), y)
    with pytest.raises(InvalidVectorError, match="all-zero"):
        compat.train_bct(backbone(10, 4), 4, X, y, np.zeros((60, 4)))
    with pytest.raises(compat.InvalidPairsError, match="dims 4 and 5, and the head was made for 4 and 6"):
        compat.train_bt2(backbone(10, 10), compat.BT2Head(4, 6, extra=2), X, y, np.ones((60, 4)), np.ones((60, 5)))


def test_a_loss_that_explodes_stops_the_run():
    X, y = classified(60)
    with pytest.raises(ValueError, match="lower the rate"):
        compat.train_independent(backbone(10, 4), 4, X, y, schedule=compat.Schedule(epochs=5, warmup=0, rate=1e30))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cpu_and_gpu_embed_alike(tmp_path, upgraded):
    _, _, bt2 = upgraded
    X, _ = classified(200, seed=4)
    on_cpu = bt2.encode(X)
    bt2.save(tmp_path / "bt2.map")
    head = compat.BT2Head(6, 8, extra=2)
    objective = BT2(backbone(10, 14), head, torch.zeros(6, 6), follow=1, influence=1, regress=1, sharpness=1)
    on_gpu = compat.TrainedModel.load(tmp_path / "bt2.map", objective, device="cuda").encode(X)
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-5)
