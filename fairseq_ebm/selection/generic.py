"""``generic``, which chooses nothing, and ``mix``, which learns from specific text as well."""

from .system import System


class Generic(System):
    pass


class Mix(System):
    """γ ∇L(generic) + (1 − γ) ∇L(specific)."""

    def __init__(self, generic_weight: float) -> None:
        self.specific_weight = 1.0 - generic_weight
