"""Pure tensor mathematics of residual energy-based models.

Imports torch and the standard library only; does no input or output. Sums over
samples are taken in float64 and in log space, and whatever is random takes an
explicit ``torch.Generator``.
"""
