from fairseq_ebm.errors import OptionError, UserError


def test_an_option_is_a_parameter_or_a_flag():
    error = OptionError("{num_draws}: 5 from 3; raise {joint_samples}")
    assert str(error) == "num_draws: 5 from 3; raise joint_samples" and isinstance(error, UserError)
    assert str(error.in_flags({})) == "--num-draws: 5 from 3; raise --joint-samples"
    assert str(error.in_flags({"num_draws": "--beam"})).startswith("--beam: 5 from 3")
