"""Reports on votes, for a terminal."""

from collections.abc import Mapping
from typing import Any


def ranking(found: Mapping[str, Any]) -> str:
    raters = sorted(found["raters"], key=lambda rater: -rater["right"])
    out = [
        f"{rater['accuracy']:>7.2%}  {rater['rater']}{'' if rater['qualified'] else ' (not)'}"
        for rater in raters
    ]
    return "\n".join([*out, f"{found['qualified']} of {len(raters)} raters qualified"])


def table(found: Mapping[str, Any]) -> str:
    heads = f"{'wins':>7}{'ties':>6}{'losses':>8}{'preferred':>11}{'95% interval':>18}{'p':>9}"
    out = [f"{'':<8}{heads}"]
    for row in found["preferences"]:
        out.append(f"{row['first']} over {row['second']}")
        for unit in ("votes", "items"):
            of = row[unit]
            counts = f"  {unit:<6}{of['wins']:>7,}{of['ties']:>6,}{of['losses']:>8,}"
            if of["preference"] is None:
                out.append(f"{counts}{'-':>11}{'-':>18}{'-':>9}")
                continue
            low, high = of["preference_ci95"]
            interval = f"{low:.1%} to {high:.1%}"
            out.append(f"{counts}{of['preference']:>11.2%}{interval:>18}{of['p_value']:>9.2g}")
    out.append(f"{found['raters_kept']} raters kept, {found['raters_dropped']} dropped")
    for rater in found["raters"]:
        if rater["dropped"] or not rater["kept"]:
            failed = f"failed {rater['failed']} of {rater['checks']} checks"
            why = "did not qualify" if rater["qualified"] is False else failed
            lost = f"{rater['dropped']} of {rater['votes']} votes dropped"
            out.append(f"  {rater['rater']}: {why}; {lost}")
    return "\n".join(out)
