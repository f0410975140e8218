#!/usr/bin/env bash
# The main job, end to end, as far as it exists: text -> base language model -> its own samples ->
# a causal and a bidirectional energy -> bounds on the perplexity of both joint models.
# Run by `make demo`. SIZE=full starts the energies from a language model that was trained longer than
# the base, as the papers start from RoBERTa. Finished stages are skipped; delete runs/ to start anew.
# The text is the running Python's, so each version of Python has runs of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/stages.sh
size=${SIZE:-small}
case $size in
  small) updates=600 longer=0 negatives=1 causal=1 bidirectional=1 windows=60 positions=8 ;;
  full) updates=1000 longer=3000 negatives=4 causal=3 bidirectional=2 windows=200 positions=20 ;;
  *) echo "SIZE is small or full, not '$size'" >&2; exit 2 ;;
esac
samples=256
run=runs/demo-$size-$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
window=(--window 64 --prefix-length 32)
LOG_EVERY=50

step "Text: the running Python's documentation -> $run/data"
"$bin/fairseq-ebm-prepare" --corpus pydocs --vocab-size 2000 --dest "$run/data"

language_model() {  # directory, updates
  train "$1" "$run/data" --task language_modeling --arch transformer_lm \
    --decoder-layers 4 --decoder-embed-dim 192 --decoder-input-dim 192 --decoder-output-dim 192 \
    --decoder-ffn-embed-dim 768 --decoder-attention-heads 4 --share-decoder-input-output-embed \
    --tokens-per-sample 160 --batch-size 16 --dropout 0.2 --no-epoch-checkpoints \
    --adam-betas '(0.9, 0.98)' --weight-decay 0.01 --clip-norm 1 --lr 0.002 \
    --lr-scheduler cosine --warmup-updates 100 --warmup-init-lr 1e-6 --max-update "$2"
}

step "Base language model: a small transformer, $updates updates -> $run/lm"
language_model "$run/lm" "$updates"
lm=$run/lm/checkpoint_best.pt
start=$lm
if [ "$longer" -gt 0 ]; then
  step "A language model for the energies to start from: the same, $longer updates -> $run/longer"
  language_model "$run/longer" "$longer"
  start=$run/longer/checkpoint_best.pt
fi

step "Negatives: the language model continues the first half of each window -> $run/neg"
"$bin/fairseq-ebm-negatives" "$run/data" --path "$lm" --dest "$run/neg" "${window[@]}" --stride 32 \
  --num-negatives "$negatives" --subsets train,valid --cpu

energy=(--task residual_ebm_lm --criterion conditional_nce --init-from "$start" --dropout 0.1
  --batch-size 32 --adam-betas '(0.9, 0.98)' --clip-norm 1
  --lr 0.0002 --lr-scheduler inverse_sqrt --warmup-updates 50)

step "Causal energy, from a language model's weights -> $run/causal"
train "$run/causal" "$run/neg" --arch energy_transformer_lm "${energy[@]}" \
  --decoder-layers 4 --decoder-embed-dim 192 --decoder-ffn-embed-dim 768 \
  --decoder-attention-heads 4 --max-epoch "$causal"

step "Bidirectional energy, from the same weights -> $run/bidirectional"
train "$run/bidirectional" "$run/neg" --arch energy_roberta "${energy[@]}" \
  --encoder-layers 4 --encoder-embed-dim 192 --encoder-ffn-embed-dim 768 \
  --encoder-attention-heads 4 --activation-fn relu --sinusoidal-positions \
  --no-layernorm-embedding --scale-embedding --max-epoch "$bidirectional"

if [ "$longer" -gt 0 ]; then
  step "Perplexity of the longer language model alone, on the same windows -> $run/longer.json"
  "$bin/fairseq-ebm-eval-lm" "$run/data" --path "$start" "${window[@]}" --stride 64 \
    --max-windows "$windows" --results-path "$run/longer.json" --cpu
fi

evaluate() {  # kind of energy, report, then flags
  local kind=$1 out=$run/$2.json; shift 2
  if [ -e "$out" ] && ! grep -q '"partial": true' "$out"; then echo "done already"; return; fi
  "$bin/fairseq-ebm-eval-lm" "$run/data" --path "$lm:$run/$kind/checkpoint_best.pt" \
    "${window[@]}" --stride 64 --num-samples "$samples" --results-path "$out" --resume --draw --cpu "$@"
}

for kind in causal bidirectional; do
  step "Perplexity on the test split, base and joint with the $kind energy -> $run/$kind.json"
  evaluate "$kind" "$kind" --max-windows "$windows" --sample-curve "8,16,32,64,128,$samples"
done

step "The same at every position, and the last one exactly -> $run/positions.json"
evaluate causal positions --max-windows "$positions" --per-position --exact-last-position

printf '\nDone. Everything is in %s\n' "$run"
