"""Pure tensor mathematics of residual energy-based models.

Imports only torch and the standard library; does no input or output. Sums over samples are taken in
float64 and log space. Random functions take uniforms or an explicit ``torch.Generator``.
"""
