#!/usr/bin/env bash
# A bidirectional energy trained on too little text, epoch by epoch: conditional NCE on held-out text,
# before and after Z is set to 1 for each prefix, beside the joint perplexity; and for the fourth epoch
# the perplexity against the number of samples. `make demo EXAMPLE=overfitting`, after
# `SIZE=full make demo`, whose text and language models it uses; about 25 minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/stages.sh
demo=runs/demo-full-$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
run=runs/overfitting
lm=$demo/lm/checkpoint_best.pt
test -e "$demo/longer/done" || { echo "run SIZE=full make demo first" >&2; exit 2; }
window=(--window 64 --prefix-length 32 --stride 64)

step "3,000 windows to train on, with one negative each -> $run/neg"
"$bin/fairseq-ebm-negatives" "$demo/data" --path "$lm" --dest "$run/neg" "${window[@]}" \
  --max-windows 3000 --num-negatives 1 --subsets train,valid --cpu

step "Eight epochs -> $run/energy"
train "$run/energy" "$run/neg" --task residual_ebm_lm --criterion conditional_nce \
  --arch energy_roberta --init-from "$demo/longer/checkpoint_best.pt" --dropout 0.1 \
  --batch-size 32 --adam-betas '(0.9, 0.98)' --clip-norm 1 \
  --lr 0.0002 --lr-scheduler inverse_sqrt --warmup-updates 50 \
  --encoder-layers 4 --encoder-embed-dim 192 --encoder-ffn-embed-dim 768 \
  --encoder-attention-heads 4 --activation-fn relu --sinusoidal-positions \
  --no-layernorm-embedding --scale-embedding --max-epoch 8

evaluate() {  # epoch, name, then flags
  local epoch=$1 out=$run/$2.json; shift 2
  step "Epoch $epoch on the split valid -> $out"
  if [ -e "$out" ] && ! grep -q '"partial": true' "$out"; then echo "done already"; return; fi
  "$bin/fairseq-ebm-eval-lm" "$demo/data" --path "$lm:$run/energy/checkpoint$epoch.pt" \
    --gen-subset valid "${window[@]}" --results-path "$out" --resume --cpu "$@"
}

for epoch in 1 2 4 6 8; do
  evaluate "$epoch" "epoch-$epoch" --max-windows 80 --num-samples 256
done
evaluate 4 curve --max-windows 8 --num-samples 10000 --draw \
  --sample-curve 16,64,256,1024,4096,10000

"$bin/python" - "$run" <<'PYTHON'
import json, sys
print("epoch  NCE    Z=1    gain of the upper bound   ESS of 256   mean log Z")
for epoch in (1, 2, 4, 6, 8):
    r = json.load(open(f"{sys.argv[1]}/epoch-{epoch}.json"))
    nce, (low, high) = r["conditional_nce"], r["gain_ci95"]
    print(f"{epoch:>5}  {nce['loss']:.3f}  {nce['normalised']:.3f}  {r['gain']:.2%} ({low:.2%} to {high:.2%})"
          f"   {r['ess']['mean']:>6.1f}   {r['mean_log_z']:>8.3f}")
PYTHON
