"""``python -m fairseq_ebm`` is ``fairseq-ebm``; ``torchrun -m fairseq_ebm`` several of it."""

from .cli.main import main

if __name__ == "__main__":
    main()
