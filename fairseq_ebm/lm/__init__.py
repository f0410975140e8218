"""Sampling from and scoring with a base language model: the one place that knows decoders' caches.

Convention, for sampling and scoring alike: the model reads </s>, then the window; </s> inside a
window is an ordinary token. A right-to-left model reads the window reversed.
"""
