"""Sampling from and scoring with a base language model: the only place that knows decoders' caches.

In sampling and in scoring the model reads </s>, then the window; </s> inside a window is an
ordinary token. A right-to-left model reads the window reversed.
"""
