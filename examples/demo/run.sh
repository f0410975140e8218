#!/usr/bin/env bash
# The main job, end to end, as far as it exists: text -> base language model -> its own samples ->
# a causal and a bidirectional energy -> bounds on the perplexity of both joint models.
# Run by `make demo`. Finished stages are skipped; delete runs/ to start anew. The text is the running
# Python's, so each version of Python has a run of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/stages.sh
run=runs/demo-$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
updates=400
LOG_EVERY=50
windows=(--window 64 --prefix-length 32 --stride 64)

step "Text: the running Python's documentation -> $run/data"
"$bin/fairseq-ebm-prepare" --corpus pydocs --dest "$run/data"

step "Base language model: a small transformer, $updates updates -> $run/lm"
train "$run/lm" "$run/data" --task language_modeling --arch transformer_lm \
  --decoder-layers 4 --decoder-embed-dim 192 --decoder-input-dim 192 --decoder-output-dim 192 \
  --decoder-ffn-embed-dim 768 --decoder-attention-heads 4 --share-decoder-input-output-embed \
  --tokens-per-sample 160 --batch-size 16 --dropout 0.1 \
  --adam-betas '(0.9, 0.98)' --weight-decay 0.01 --clip-norm 1 --no-epoch-checkpoints \
  --lr 0.002 --lr-scheduler cosine --warmup-updates 40 --warmup-init-lr 1e-6 --max-update "$updates"
lm=$run/lm/checkpoint_best.pt
