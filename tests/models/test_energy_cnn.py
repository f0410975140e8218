import torch

from tests.models.energies import build, windows


def test_a_position_sees_what_stands_before_it():
    model = build("energy_cnn", energy_pooling="last")
    batch = windows(length=7)[0]
    seen = [batch.clone() for _ in range(7)]
    for place, other in enumerate(seen):
        other[:, place] = 4 + (other[:, place] - 3) % 50
    moved = [not torch.equal(model.energy(batch), model.energy(other)) for other in seen]
    assert moved == [False] * 4 + [True] * 3  # the kernel's size is 3


def test_rows_of_a_table_are_the_convolution():
    """So are their gradients; a batch of more positions than symbols takes the table."""
    model, batch = build("energy_cnn"), windows(8, 8)[0]
    batch[1, 9:] = model.padding
    table = model.energy(batch)
    table.square().sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model.token_embedding()
    convolved = model.energy(batch)
    convolved.square().sum().backward()
    torch.testing.assert_close(table, convolved)
    for ours, parameter in zip(gradients, model.parameters()):
        torch.testing.assert_close(ours, parameter.grad)
