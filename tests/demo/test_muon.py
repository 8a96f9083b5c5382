"""The optimizer that trains the demo's UNet."""

import pytest

torch = pytest.importorskip("torch")

from aquatint.demo.muon import Muon, orthogonalize, split_parameters  # noqa: E402


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (32, 32)])
def test_an_orthogonalized_matrix_keeps_its_directions(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    result = (u.T @ orthogonalize(matrix) @ v.T).diagonal()
    # Jordan et al. tune the polynomial to land between 0.7 and 1.2; the smallest values of a square lag behind.
    assert result[s > 0.1 * s.max()].min() > 0.6
    assert result.max() < 1.25


def test_steps_lower_a_quadratic_loss():
    weight = torch.nn.Parameter(torch.zeros(8, 4, 3, 3))
    goal = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    optimizer = Muon([weight], lr=0.1)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (weight - goal).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_embeddings_norms_and_outer_layers_are_no_hidden_matrices():
    model = torch.nn.ModuleDict(
        {"conv_in": torch.nn.Conv2d(4, 8, 3), "middle": torch.nn.Conv2d(8, 8, 3), "embedding": torch.nn.Embedding(5, 8)}
    )
    matrices, rest = split_parameters(model)
    assert [id(p) for p in matrices] == [id(model["middle"].weight)]
    assert len(rest) == 4
