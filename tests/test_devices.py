"""Nothing mixes the CPU with another device; shown without a GPU."""

import pytest
import torch
import torch.nn.functional as F
from fairseq.models import FairseqLanguageModel
from torch._subclasses.fake_tensor import FakeTensor

from fairseq_ebm.criterions import losses
from fairseq_ebm.data.hugging_face import of_transformers
from fairseq_ebm.data.streams import WindowStream
from fairseq_ebm.detection.scorers import EnergyScorer, LanguageModelScorer
from fairseq_ebm.joint.formula import Expert, WeightedSum
from fairseq_ebm.joint.model import Joint, Streams
from fairseq_ebm.lm import directional
from fairseq_ebm.lm.directional import Landscape
from fairseq_ebm.lm.hugging_face import HuggingFaceDecoder
from fairseq_ebm.lm.product import ProductDecoder
from fairseq_ebm.lm.sampler import Sampler
from fairseq_ebm.lm.scoring import next_log_probs, text_statistics, token_log_probs
from fairseq_ebm.numerics.drawing import Truncation
from fairseq_ebm.selection.anograd import Anograd
from fairseq_ebm.selection.classifier import Classifier
from fairseq_ebm.selection.dds import DDS
from fairseq_ebm.selection.soba import Soba
from fairseq_ebm.selection.system import Update
from fairseq_ebm.weaknesses.perturbations import energy_judge
from fairseq_ebm.weaknesses.token_edits import first_order
from tests.elsewhere import ELSEWHERE, elsewhere
from tests.lm import models as lms
from tests.models import energies

LIMITS = {"top_k": 5, "top_p": 0.9, "min_p": 0.1, "temperature": 0.7}
BY_HEART = [{}, {"repeats": 4}, {"counts": 4, "count_bits": 12}]
FAMILIES = [(arch, {}) for arch in energies.SMALL]
FAMILIES += [("energy_ngram", more) for more in BY_HEART[1:]]
FAMILIES += [("energy_transformer_lm", {"ngrams": 3, **more}) for more in BY_HEART]


def tokens(*shape, symbols=12):
    return torch.randint(4, symbols, shape)


def streams(count=2):
    return [WindowStream(1, "test", i) for i in range(count)]


def require_here(*results):
    """What leaves the device is on the CPU, and was computed from what has no numbers."""
    for each in results:
        assert isinstance(each, FakeTensor) and each.device.type == "cpu"


def test_what_mixes_devices_is_an_error():
    with elsewhere():
        there = torch.ones(3, 4).to(ELSEWHERE)
        assert (there @ there.T).device == ELSEWHERE
        for mix in (
            lambda: there + torch.ones(3, 4),
            lambda: there @ torch.ones(4, 5),
            lambda: there.gather(1, torch.zeros(3, 1, dtype=torch.long)),
            lambda: torch.cat([there, torch.ones(3, 4)]),
            lambda: there.add_(torch.ones(3, 4)),
            lambda: F.embedding(torch.tensor([1]), there),
            lambda: F.embedding_bag(torch.tensor([[1]]), there),
            lambda: torch.ones(3, 4)[torch.tensor([1]).to(ELSEWHERE)],
        ):
            with pytest.raises(RuntimeError, match="same device"):
                mix()


@pytest.mark.parametrize("limits", [{}, LIMITS], ids=["untruncated", "truncated"])
@pytest.mark.parametrize("kind", lms.KINDS)
def test_language_models(kind, limits):
    model = lms.build(kind)
    with elsewhere():
        model.to(ELSEWHERE, torch.float16)
        require_here(*Sampler(model, Truncation(**limits)).sample(tokens(2, 5), 8, 4, streams()))
        windows = tokens(3, 9)
        require_here(*text_statistics(model, windows, 3), next_log_probs(model, windows))
        require_here(*(token_log_probs(model, windows, 3, without) for without in (True, False)))
        require_here(*LanguageModelScorer(model)(tokens(3, 4, 9), 3, 0).values())


@pytest.mark.parametrize(("arch", "more"), FAMILIES)
def test_energies(arch, more):
    energy = energies.build(arch, **more)
    with elsewhere(truth=arch == "energy_bilstm") as mode:  # all are tokens: nothing to pack
        energy.to(ELSEWHERE, torch.float16)
        windows = tokens(3, 4, 11, symbols=energies.SYMBOLS)
        for shared in (0, 5):
            assert energy(windows.to(ELSEWHERE), shared).device == ELSEWHERE
        require_here(EnergyScorer(energy)(windows, 5, 0)["energy"])
        require_here(energy_judge(energy)(windows[0]))
        energy.float()
        if arch != "energy_ngram":  # which has no vectors
            require_here(first_order(energy, windows[0, 0]))
        energy.train()
        mode.truth = True  # energies are finite
        sample = {"net_input": {"windows": windows.to(ELSEWHERE), "shared": 5}}
        sample.update(id=torch.arange(3).to(ELSEWHERE), nsentences=3, ntokens=33)
        for criterion in (
            losses.ConditionalNCECriterion(None),
            losses.RankingNCECriterion(None),
            losses.EnergyRankingCriterion(None, 1.0),
        ):
            loss, _, log = criterion(energy, sample)
            assert log["loss"].device == ELSEWHERE
            loss.backward()
        assert all(p.grad is not None for p in energy.parameters())


@pytest.mark.parametrize("kind", ["tied", "adaptive softmax", "lstm"])
def test_joint_models(kind):
    base, expert, parts = (
        lms.build("tied"),
        lms.build(kind, 2),
        [lms.build("tied", s) for s in (3, 4)],
    )
    residual = FairseqLanguageModel(ProductDecoder(*(part.decoder for part in parts))).eval()
    energy = energies.build("energy_transformer_lm", symbols=12, repeats=4)
    with elsewhere():
        for each in (base, expert, residual, energy):
            each.to(ELSEWHERE, torch.float16)
        formula = WeightedSum([energy, Expert(expert), Expert(residual)], [1.0, 0.5, -0.3])
        joint = Joint(base, Sampler(base), formula)
        prefixes = tokens(2, 5)
        pool = joint.pool(prefixes, 16, 4, Streams(1, "test", [0, 1]))
        require_here(pool, joint.of_prefix(prefixes))
        require_here(joint.scores(tokens(30), 16), *joint.next_symbols(prefixes[0]))
        require_here(*Sampler(residual).sample(prefixes, 8, 4, streams()))


@pytest.mark.parametrize(
    "make",
    [
        lambda network: Classifier(network, 0.1),
        lambda network: DDS(network, 0.1, 0.1),
        lambda network: DDS(network, 0.1, 0.0),
        lambda network: Anograd(network, 0.1, True),
        lambda network: Soba(network, 0.1, True, 0.1),
    ],
    ids=["classifier", "dds", "dds-limit", "anograd", "soba"],
)
def test_what_chooses_text(make, monkeypatch):
    model, copy = lms.build("tied"), lms.build("tied")
    network = energies.build("energy_bow", symbols=12)
    monkeypatch.setattr(directional, "copy_of", lambda _: copy)  # none is made without numbers
    with elsewhere():
        for each in (model, copy, network):
            each.to(ELSEWHERE)
        system, landscape = make(network), Landscape(model, 1)
        generic, random, specific = (batch(size) for size in (6, 3, 3))
        with torch.set_grad_enabled(system.keeps_graph):
            scores = system.scores(generic)
        assert system.choose(scores, 3, torch.rand(6)).device == ELSEWHERE
        landscape.follow(model)
        system.learn(Update(scores, random, random, specific), landscape, 0.1)
        assert all(p.grad is not None for p in network.parameters())


def batch(size):
    text = tokens(size, 8).to(ELSEWHERE)
    read = {"src_tokens": text.roll(1, 1), "src_lengths": torch.full((size,), 8).to(ELSEWHERE)}
    number = torch.arange(size).to(ELSEWHERE)
    return {
        "net_input": read,
        "target": text,
        "id": number,
        "nsentences": size,
        "ntokens": 8 * size,
    }


def test_hugging_faces_models_share_their_prefix_there():
    """The trial of the fast path would fail without a word, were it to mix devices."""
    pytest.importorskip("transformers")
    from fairseq_ebm.lm.shared_prefix import SharedPrefixStepper  # noqa: PLC0415 an extra
    from tests.lm.tiny_hugging_face import byte_level, family  # noqa: PLC0415

    tokenizer = byte_level()
    own = of_transformers(tokenizer, "nowhere", "--path")
    for name in ("gpt2", "llama", "gemma2"):
        body = family(name, tokenizer, spare=3).eval()
        model = FairseqLanguageModel(HuggingFaceDecoder(own.dictionary, body, own.symbols))
        with elsewhere(truth=True) as mode:
            model.to(ELSEWHERE, torch.float16)
            sampler = Sampler(model, rows=3)
            assert isinstance(sampler.stepper, SharedPrefixStepper)
            mode.truth = False
            require_here(*sampler.sample(tokens(2, 6, symbols=200), 4, 5, streams()))
