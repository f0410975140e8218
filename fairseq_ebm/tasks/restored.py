"""Which checkpoint fairseq's trainer is going to load: a task reads its own state there, since the
trainer does not give it back on resuming."""

from pathlib import Path
from typing import Any, Optional


def restored_checkpoint(cfg: Any) -> Optional[Path]:
    """By the rules of ``load_checkpoint`` in fairseq's checkpoint_utils."""
    suffix = cfg.checkpoint_suffix or ""
    if cfg.restore_file != "checkpoint_last.pt":
        return Path(cfg.restore_file.replace(".pt", f"{suffix}.pt"))
    last = Path(cfg.save_dir) / f"checkpoint_last{suffix}.pt"
    if last.exists():
        return last
    first = cfg.continue_once or cfg.finetune_from_model
    return Path(first) if first else None
