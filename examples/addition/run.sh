#!/usr/bin/env bash
# Sums, whose true distribution is known: a language model that cannot add, and an energy that can
# tell right sums from wrong ones. `make demo EXAMPLE=addition`; about 15 minutes on 2 cores.
# DIGITS=10 is the benchmark of docs/benchmarks.md, whose figures stand there.
# Finished stages are skipped; delete the run's directory to start anew.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/stages.sh
digits=${DIGITS:-4}
run=runs/addition-$digits
prefix=$((2 * digits + 2))   # a+b=
window=$((3 * digits + 4))   # a+b=c</s>

step "Sums of two numbers of $digits digits -> $run/data"
"$bin/fairseq-ebm-prepare" --corpus addition --digits "$digits" --dest "$run/data"

step "Base language model: one LSTM of width 256 -> $run/lm"
train "$run/lm" "$run/data" --task language_modeling --arch lstm_lm --decoder-layers 1 \
  --decoder-embed-dim 256 --decoder-hidden-size 256 --decoder-out-embed-dim 256 --dropout 0 \
  --tokens-per-sample "$window" --batch-size 128 --lr 0.002 --clip-norm 1 --max-epoch 1 --no-epoch-checkpoints

step "Negatives: 4 untruncated continuations of each $prefix tokens -> $run/neg"
"$bin/fairseq-ebm-negatives" "$run/data" --path "$run/lm/checkpoint_best.pt" --dest "$run/neg" \
  --window "$window" --stride "$window" --prefix-length "$prefix" --num-negatives 4 --cpu

shape=(--encoder-layers 2 --encoder-embed-dim 64 --encoder-ffn-embed-dim 256
  --encoder-attention-heads 4 --max-positions $((window + 1)) --dropout 0 --attention-dropout 0)

step "Masked language model of the sums, for the energy to start from -> $run/mlm"
train "$run/mlm" "$run/data" --task masked_lm --arch roberta_base --criterion masked_lm "${shape[@]}" \
  --tokens-per-sample $((window + 1)) --batch-size 128 --lr 0.004 --lr-scheduler inverse_sqrt \
  --warmup-updates 200 --clip-norm 1 --max-update 6000 --no-epoch-checkpoints

step "Energy: the same small bidirectional transformer -> $run/energy"
train "$run/energy" "$run/neg" --task residual_ebm_lm --arch energy_roberta \
  --criterion conditional_nce --init-from "$run/mlm/checkpoint_best.pt" "${shape[@]}" \
  --batch-size 128 --lr 0.002 --lr-scheduler inverse_sqrt --warmup-updates 100 --clip-norm 1 --max-epoch 2 --no-epoch-checkpoints

step "Real sums against generated ones, on the test split"
"$bin/fairseq-validate" "$run/neg" --user-dir fairseq_ebm --task real_fake_discrimination \
  --path "$run/energy/checkpoint_best.pt" --valid-subset test --batch-size 128 --cpu \
  --log-format simple 2>&1 | tee "$run/validate.log" | grep -o -E 'loss .* accuracy [0-9.]*'
"$bin/python" examples/addition/likelihood.py "$run/neg"

step "Sums by joint sampling: right digits against the number of proposals -> $run/digits.json"
if [ ! -e "$run/digits.json" ]; then
  "$bin/fairseq-generate" "$run/data" --user-dir fairseq_ebm --task residual_ebm_lm \
    --path "$run/lm/checkpoint_best.pt:$run/energy/checkpoint_best.pt" --gen-subset test \
    --window "$window" --stride "$window" --prefix-size "$prefix" --max-windows 200 \
    --joint-samples 400 --sampling --beam 1 --nbest 1 --seed 1 --cpu \
    --joint-results-path "$run/pools.jsonl" > "$run/generate.log" 2>&1 || {
      tail -n 1 "$run/generate.log" >&2; exit 1; }
fi
"$bin/python" examples/addition/correct.py "$run/data" "$run/pools.jsonl" "$run/digits.json"

printf '\nDone. Everything is in %s\n' "$run"
