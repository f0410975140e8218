#!/usr/bin/env bash
# The main job, end to end, as far as it exists: text -> base language model -> its perplexity.
# Run by `make demo`. Finished stages are skipped; delete runs/ to start anew. The text is the running
# Python's, so each version of Python has a run of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=.venv/bin
run=runs/demo-$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
updates=400

step() { printf '\n== %s\n' "$1"; }

step "Text: the running Python's documentation -> $run/data"
"$bin/fairseq-ebm-prepare" --corpus pydocs --dest "$run/data"

step "Base language model: a small transformer, $updates updates -> $run/lm"
if [ -e "$run/lm/done" ]; then
  echo "trained already"
else
  "$bin/fairseq-train" "$run/data" --task language_modeling --arch transformer_lm \
    --decoder-layers 4 --decoder-embed-dim 192 --decoder-input-dim 192 --decoder-output-dim 192 \
    --decoder-ffn-embed-dim 768 --decoder-attention-heads 4 --share-decoder-input-output-embed \
    --tokens-per-sample 160 --batch-size 16 --dropout 0.1 \
    --optimizer adam --adam-betas '(0.9, 0.98)' --weight-decay 0.01 --clip-norm 1 \
    --lr 0.002 --lr-scheduler cosine --warmup-updates 40 --warmup-init-lr 1e-6 --max-update "$updates" \
    --save-dir "$run/lm" --no-epoch-checkpoints --log-format simple --log-interval 50 --cpu \
    2>&1 | tee "$run/lm.log" | grep --line-buffered -E 'num_updates|Error|error' || {
      echo "training failed; its whole log is $run/lm.log" >&2; exit 1; }
  test -e "$run/lm/checkpoint_best.pt"
  touch "$run/lm/done"
fi

step "Its perplexity on the test split, each token given at least 64 tokens of context"
"$bin/fairseq-eval-lm" "$run/data" --task language_modeling --path "$run/lm/checkpoint_best.pt" \
  --gen-subset test --tokens-per-sample 160 --context-window 64 --batch-size 16 --cpu \
  2>&1 | tee "$run/eval.log" | grep -o -E 'Loss \(base 2\).*'

printf '\nDone. Everything is in %s\n' "$run"
