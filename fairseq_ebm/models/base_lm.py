"""Presets of the papers' language models; the models themselves are fairseq's ``transformer_lm``.

Input and output share one matrix: only then do they have the papers' numbers of parameters. Where
a stated shape and a stated number disagree, both are here; docs/models.md has the table.
"""

from fairseq.models.transformer_lm import base_lm_architecture, transformer_lm_gpt2_big

from .presets import preset, shape

TIED = {"share_decoder_input_output_embed": True}

for name, *layers_heads_width in (
    ("transformer_lm_small", 6, 8, 512),  # TransfSmall, a generator of Real or Fake
    # BASE LM of Residual EBMs for Text Generation, TransfBig of Real or Fake
    ("transformer_lm_base_lm", 12, 16, 1024),
    ("transformer_lm_balm", 12, 16, 1568),  # BALM as the paper describes it: d 1568, ff 6272
    ("transformer_lm_balm_matched", 12, 16, 1520),  # with the paper's number of parameters, 408M
    ("transformer_lm_base_24l", 24, 16, 752),  # BASE LM-24L: 203M; the paper states no width
    ("transformer_lm_balm_24l", 24, 16, 1104),  # BALM-24L: 408M; the paper states no width
):
    values = {**TIED, **shape("decoder", *layers_heads_width)}
    preset("transformer_lm", name, values, base_lm_architecture)

# TransfHuge as the paper describes it, 48 layers and 25 heads; and with the paper's numbers of
# parameters, which its 25 heads cannot have.
preset("transformer_lm", "transformer_lm_huge", TIED, transformer_lm_gpt2_big)
matched = {**TIED, **shape("decoder", 48, 24, 1536)}
preset("transformer_lm", "transformer_lm_huge_matched", matched, transformer_lm_gpt2_big)
