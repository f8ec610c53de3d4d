"""A call that a question does not know, answered in its own words: what others call ``y=`` is ``outcome=`` here.

The table below is the only place that knows other packages' words; :func:`question` is what every question wears.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, wraps
from importlib import import_module
from inspect import Parameter, Signature, signature
from typing import ParamSpec, TypeVar

from pandas_causal.errors import CausalArgumentError, suggest

__all__ = ["REMARKS", "WORDS", "question"]

P = ParamSpec("P")
R = TypeVar("R")


def _by_word(rows: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """The rows turned round: for each of their words ours, in the order of the rows."""
    words: dict[str, tuple[str, ...]] = {}
    for ours, theirs in rows:
        for word in theirs.split():
            words[word] = tuple(dict.fromkeys((*words.get(word, ()), *ours.split())))
    return words


# Word of DoWhy, EconML, CausalML, DoubleML, statsmodels, linearmodels, scikit-learn, and of R's MatchIt, did and
# rdrobust -> ours, of which the first that the question has is the answer.
WORDS: Mapping[str, tuple[str, ...]] = _by_word((
    # columns
    ("outcome target", "y Y outcome_name outcome_col outcome_column y_col y_name yname dependent endog_name"),
    ("outcome target", "dv depvar response outcomes dep_var target_name"),
    ("outcome", "target"),
    ("treatment cohort", "t T d D d_cols treatment_name treatment_col treatment_column treatments treat"),
    ("treatment", "exposure intervention fuzzy endog treatment_features variant arms"),
    ("covariates graph", "common_causes confounders confounder confounding adjustment adjust_for controls"),
    ("covariates", "W x_cols covs covariate exog xformla adjustment_set Xs"),
    ("effect_modifiers covariates graph", "X effect_modifier_names modifiers feature_names moderators"),
    ("effect_modifiers covariates", "features"),
    ("running covariates", "x"),
    ("running", "running_variable runvar forcing forcing_variable score_variable assignment_variable"),
    ("cutoff", "c threshold cut_off cutpoint cutoff_value discontinuity"),
    ("instrument", "z Z instruments instrument_names z_cols iv"),
    ("mediators", "mediator m M mediator_name mediators_name"),
    ("unit", "idname id entity entity_id unit_id individual panel_id units"),
    ("time", "tname period year time_id date periods"),
    ("cohort", "gname g first_treated first_treat treatment_time treated_period cohort_name"),
    ("group", "treated_group treat_group"),
    ("post before", "post_period after"),
    ("cluster", "clusters cluster_col cluster_cols clustervar clustervars groups cov_groups cluster_var se_cluster"),
    ("sample_weight", "weights weight sampling_weights weightsname s_weights sample_weights freq_weights"),
    ("weights", "sample_weight"),
    ("propensity", "p e ps pscore propensity_score propensity_scores e_hat"),
    ("strata exact", "block blocks stratify strata_col"),
    ("denominator", "ratio_denominator"),
    ("selected", "selection_indicator observed"),
    ("absorb", "fixed_effects fe absorbed effects"),
    ("score", "scores model_score ranking uplift_score"),
    ("target", "target_node outcome"),
    ("before", "old baseline data_old old_data"),
    ("graph", "dag causal_graph model"),
    ("interventions", "x X do_x intervene values"),
    ("rows", "observed_data"),
    # how
    ("estimator learner method test", "method_name est_method model_name algorithm approach"),
    ("estimator learner", "method learner"),
    ("learner method", "estimator"),
    ("estimand", "target_units estimand_type target_estimand focal"),
    ("control", "control_value control_name reference baseline_arm control_arm"),
    ("arm", "treatment_value treatment_arm"),
    ("level", "alpha conf_level confidence_level confidence ci_level sig_level alp"),
    ("alpha", "level significance significance_level"),
    ("missing", "dropna na_action nan_policy drop_na"),
    ("random_state", "seed random_seed rng"),
    ("n_jobs", "num_cores cores n_cores pl njobs nthreads n_threads"),
    ("n_draws permutations", "num_simulations num_samples n_boot biters n_bootstrap bootstrap_iterations"),
    ("outcome_model", "model_y ml_g ml_l outcome_learner model_outcome model_regression"),
    ("propensity_model", "model_t ml_m propensity_learner model_propensity"),
    ("treatment_model", "model_t ml_m"),
    ("alternative", "side hypothesis"),
    ("correction", "p_adjust multiple_testing multitest"),
    ("covariance", "cov_type vcov se_type cov"),
    ("adjustment", "cuped regression_adjustment"),
    ("cv", "n_folds n_splits nfolds folds k_folds n_crossfit_splits crossfit_folds cross_fit"),
    ("trim", "trimming trimming_threshold clip min_ps_score max_ps_score ps_bounds"),
    # matching
    ("ratio", "n_neighbors k num_neighbors matches n_matches neighbors"),
    ("replace", "replacement with_replacement"),
    ("order", "m_order p polynomial degree polynomial_order"),
    ("distance", "metric distance_metric"),
    ("exact", "exact_match exact_match_cols"),
    ("bias_adjust", "bias_adj biasadj bias_correction"),
    # discontinuities
    ("bandwidth", "h bw bws bwselect bandwidths"),
    ("bias_bandwidth", "b"),
    ("bias_order", "q"),
    ("derivative", "deriv"),
    ("mass_points", "masspoints"),
    # panels
    ("control_group", "comparison_group comparison"),
    ("base_period", "base ref_period reference_period"),
    ("inference", "vce_method inference_method se_method"),
    # doses and quantiles
    ("points", "grid doses treatment_grid dose_grid"),
    ("quantiles", "q tau taus quantile probs"),
))  # fmt: skip

# What the change of name does not say.
_ALPHA = "level = 1 - alpha, so alpha=0.05 is level=0.95"
_DROP = 'missing="drop" leaves incomplete rows out'
_LIST = "a list of columns"
REMARKS: Mapping[tuple[str, str], str] = {
    ("alpha", "level"): _ALPHA,
    ("alp", "level"): _ALPHA,
    ("sig_level", "level"): _ALPHA,
    ("level", "alpha"): "alpha = 1 - level, so level=0.95 is alpha=0.05",
    ("X", "covariates"): _LIST,
    ("X", "effect_modifiers"): "covariates= holds EconML's X and W together",
    ("W", "covariates"): _LIST,
    ("target_units", "estimand"): '"ATE", "ATT" or "ATC"',
    ("fuzzy", "treatment"): "given, the design is fuzzy",
    ("common_causes", "covariates"): _LIST,
    ("confounders", "covariates"): _LIST,
    ("dropna", "missing"): _DROP,
    ("drop_na", "missing"): _DROP,
    ("na_action", "missing"): _DROP,
    ("nan_policy", "missing"): _DROP,
}


def question(method: Callable[P, R]) -> Callable[P, R]:
    """Answer a wrong call of a question in its own words, and read the name of an estimand in any case.

    The signature stays the method's, for type checkers, completion and ``help``.

    Raises
    ------
    CausalArgumentError
        For a keyword that the question does not have, with ours for it; for one that is missing or given twice; for
        too many values by position.
    """
    read = cache(lambda: signature(method))  # when it is first asked: importing stays cheap

    @wraps(method)
    def ask(*args: P.args, **kwargs: P.kwargs) -> R:
        given, asked = dict[str, object](kwargs), read()
        _refuse_unknown(method.__name__, asked, type(args[0]), given)
        try:
            asked.bind(*args, **given)
        except TypeError:
            raise CausalArgumentError(_wrong_call(method.__name__, asked, len(args), given)) from None
        estimand = given.get("estimand")
        if isinstance(estimand, str):
            given["estimand"] = estimand.upper()
        return method(*args, **given)  # type: ignore[arg-type]

    return ask


def _refuse_unknown(name: str, asked: Signature, questions: type, given: Iterable[str]) -> None:
    """Refuse keywords that the question does not have, all at once, each with ours for it."""
    known = [word for word, p in asked.parameters.items() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in asked.parameters.values())
    unknown = [word for word in given if word not in known]
    if open_ended:  # any role of an estimator may be given: refuse what is a word of others only
        from pandas_causal.inputs.roles import ROLES

        unknown = [word for word in unknown if word in WORDS and word not in ROLES]
    if not unknown:
        return
    answers = [_ours(word, name, known, questions) for word in unknown]
    if any(answer.endswith("is not known") for answer in answers):
        answers.append(f"{name} takes {_listed([word for word in known if word != 'self'])}")
    one = len(answers) == 1
    raise CausalArgumentError(f"{name}: {answers[0]}" if one else f"{name}:" + "".join(f"\n  - {a}" for a in answers))


def _ours(word: str, name: str, known: list[str], questions: type) -> str:
    """What a foreign keyword is called here, in this question, its estimators, or another question."""
    candidates = WORDS.get(word, ())
    here = next((ours for ours in candidates if ours in known), None)
    if here is not None:
        remark = f" ({REMARKS[word, here]})" if (word, here) in REMARKS else ""
        return f"{word}= is {here}= here{remark}"
    setting = _setting_of_estimator(name, known, (word, *candidates))
    if setting is not None:
        return f"{word}= is a setting of the estimator: {setting}"
    elsewhere = _questions(questions)
    near = suggest(word, known) if not any(word in parameters for parameters in elsewhere.values()) else ""
    if near:
        return f"{word}= is not known{near}"
    for ours in (word, *candidates):
        others = [other for other, parameters in elsewhere.items() if ours in parameters]
        if others:
            return f"{word}= is no keyword of {name} (it is {ours}= of {_listed(others[:3])})"
    return f"{word}= is not known"


def _setting_of_estimator(name: str, known: list[str], words: Iterable[str]) -> str | None:
    """``estimator=AIPW(outcome_model=...)``, where an estimator of the question has such a setting."""
    from pandas_causal.estimator import SHORT_NAMES
    from pandas_causal.estimators import PLACES

    keyword = next((k for k in ("estimator", "learner") if k in known), None)
    table = SHORT_NAMES.get("did" if name == "event_study" else name)
    if keyword is None or table is None:
        return None
    classes = dict.fromkeys(cls for cls, _ in table.values())
    for word in words:
        for cls in classes:
            if word in signature(getattr(import_module(PLACES[cls]), cls)).parameters:
                return f"{keyword}={cls}({word}=...)"
    return None


def _questions(questions: type) -> dict[str, Mapping[str, Parameter]]:
    public = {name: getattr(questions, name) for name in sorted(dir(questions)) if not name.startswith("_")}
    return {name: signature(method).parameters for name, method in public.items() if callable(method)}


def _wrong_call(name: str, asked: Signature, n_args: int, given: Mapping[str, object]) -> str:
    """What is wrong with a call whose keywords all exist."""
    parameters = [p for word, p in asked.parameters.items() if word != "self"]
    by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    placed = by_position[: n_args - 1]
    twice = [word for word in placed if word in given]
    if n_args - 1 > len(by_position):
        if not by_position:
            needed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY][:2]
            return f"{name} takes nothing by position; name what you give: {', '.join(f'{w}=...' for w in needed)}"
        return f"{name} takes {_listed(by_position)} by position, in this order, and everything else by name"
    if twice:
        return f"{name}: {twice[0]} is given twice, by position and by name"
    needed = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD and p.name not in given and p.name not in placed
    ]
    return f"{name} needs {_listed([f'{word}=' for word in needed])}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
