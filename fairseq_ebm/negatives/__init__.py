"""Generated continuations beside the real ones: who writes them, the store that holds them on disk,
the batches that energies are trained on."""
