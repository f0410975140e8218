"""A file of stages or of tables, planned, run and reported."""

from ..errors import OptionError, UserError
from ..options import Record
from .files import read_yaml
from .matrix import record_of, write
from .options import Run
from .plan import plan_of
from .recipe import stages_of
from .runner import Runner
from .stages import in_words


def run_file(options: Run) -> Record:
    """Of a recipe, that it is done; of a matrix, its tables; of a dry run, the commands."""
    path, folder = options.file, options.dest.resolve()
    content = read_yaml(path)
    kinds = [name for name in ("stages", "tables") if name in content]
    if len(kinds) != 1:
        how = "both of them" if kinds else "neither"
        raise UserError(f"{path}: a recipe has stages and a matrix has tables; this has {how}")
    is_matrix = kinds == ["tables"]
    if is_matrix and options.size is not None:
        raise OptionError(f"{{size}}: {path} is a matrix, which has no sizes; drop it")
    if options.cpu and not is_matrix:
        raise OptionError(f"{{cpu}}: {path} is a recipe, whose commands decide that; drop it")
    plan = plan_of(path, content, folder, options.cpu) if is_matrix else None
    stages = list(plan.stages.values()) if plan else stages_of(path, content, folder, options.size)
    about: Record = {"kind": "run", "folder": str(folder), "done": False}
    if options.dry_run:
        return {**about, "commands": [in_words(stage) for stage in stages]}
    runner = Runner(folder, stages, options.jobs, options.quiet)
    try:
        runner.run()
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on from here") from None
    if plan is None:
        pages = [folder / stage.name / "report.html" for stage in stages]
        return {**about, "done": True, "pages": [str(page) for page in pages if page.exists()]}
    record = record_of(plan, content, folder)
    runner.say(f"written: {', '.join(map(str, write(record, path.stem, folder)))}")
    return record
