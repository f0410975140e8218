"""Small records of each kind, with all that the programs write into them."""


def between(value):
    return [value * 0.9, value * 1.1]


def perplexity(**more):
    record = {
        "kind": "perplexity",
        "num_windows": 7,
        "num_samples": 20,
        "gain": 0.05,
        "gain_ci95": [0.04, 0.06],
    }
    for name, value in (("base", 20.0), ("joint", 18.5)):
        record |= {f"{name}_ppl": value, f"{name}_ppl_ci95": between(value)}
    record |= {"joint_ppl_lower": 18.0, "joint_ppl_upper": 19.0, "ess": {"mean": 9.5, "min": 2.0}}
    record |= {"joint_ppl_lower_ci95": [16.65, 19.0], "joint_ppl_upper_ci95": [17.0, 20.35]}
    record |= {"joint_ppl_sampling_ci95": [18.25, 18.75], "gain_sampling_ci95": [0.045, 0.055]}
    record["error"] = {"total": 0.05, "windows": 0.049, "samples": 0.01, "raise": "--max-windows"}
    luck = {"sampling_ci95": [18.0, 19.0]}
    bounds = {"lower": 17.0, "upper": 19.5, "joint": 18.4, **luck}
    curve = [{"num_samples": n, **bounds} for n in (10, 20)]
    place = {"base_ppl": 20.0, "lower": 18.0, "joint": 18.5, "upper": 19.0, **luck}
    record |= {"curve": curve, "per_position": [{"position": t, **place} for t in (5, 6)]}
    record["last_position"] = {**place, "exact": 18.25}
    record["baselines"] = [{"name": "RALM", "ppl": 17.0, "gain": -0.12, "gain_ci95": [-0.2, -0.1]}]
    record |= {"warnings": ["take more samples"], "provenance": {"seed": 1}}
    return {**record, **more}


def analysis():
    kinds = {"real": 0.9, "base": 0.8, "joint": 0.85}
    own = {"samples": [-3.0, -2.0], "real": [-5.0, -4.0], "difference": 2.0, "standard_error": 0.1}
    return {
        "kind": "generations",
        "num_prompts": 2,
        "unique_ngrams": [{"n": n, **kinds} for n in (2, 3, 4)],
        "densities": {"base": own, "joint": {**own, "difference": 1.25}},
    }


def next_token():
    row = {"text": "a|b", "lm": 0.25, "joint": 0.5, "joint_lower": 0.4, "joint_upper": 0.6}
    row["sampling_ci95"] = [0.3, 0.7]
    other = {**row, "text": "c", "lm": 0.75, "joint": 0.3}
    best = [{"lm": {**other, "share": 0.75}, "joint": {**row, "share": 0.625}}]
    best.append({"lm": {**row, "share": 0.25}, "joint": {**other, "share": 0.375}})
    record = {"kind": "next_token", "prefix": "<b>The", "num_samples": 9, "warnings": ["short"]}
    return {**record, "top": best, "candidates": [row, other]}


def detection():
    names = ("accuracy", "accuracy_natural", "p_at_1", "auroc", "tpr_at_fpr_5")
    row = {"scorer": "energy", "input": "neg", "n_real": 4, "n_fake": 8}
    row |= {name: 0.75 for name in names} | {f"{name}_ci95": [0.7, 0.8] for name in names}
    row["differences"] = {"mean": 1.5, "above_zero": 0.75, "counts": [2, 5, 1]}
    row["differences"]["edges"] = [-1.0, 0.0, 1.0, 2.0]
    none = {"scorer": "lrr", "accuracy_natural": None, "accuracy_natural_ci95": None}
    return {"kind": "detection", "rows": [row, {**row, **none}]}


def matrix():
    cell = {"accuracy": 0.625, "accuracy_ci95": [0.6, 0.65], "n_real": 9}
    finding = {"claim": "bigger is better", "verdict": "not found", "pairs": [[0.5, 0.625]]}
    return {
        "kind": "matrix",
        "tables": {"table 2": {"UniT": {"docs": cell}}},
        "findings": [finding],
    }


def pools():
    return {
        "kind": "pools",
        "format_version": 1,
        "id": 3,
        "truncated": False,
        "prompt": "1 + 1 <=",
        "base_text": "three & four",
        "draws": [{"text": "two", "tokens": [5], "energy": -1.5, "log_p": -4.0}],
        "pools": [{"tokens": [[4], [5]], "energies": [None, 0.5], "log_p": [-7.0, -2.0]}],
        "real": {"text": "2", "tokens": [6], "energy": -2.5, "log_p": -3.0},
    }
