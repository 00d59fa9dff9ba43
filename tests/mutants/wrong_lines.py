"""Wrong lines in what decides verdicts, each with the test that has to fail for it."""

from __future__ import annotations

from typing import NamedTuple

VERDICT, RANKS = "interp/stats/verdict.py", "interp/stats/selection.py"
SELECTION, TEST = "interp/effects/selection.py", "interp/effects/test.py"
EFFECTS, CONTROLS = "interp/effects/effects.py", "interp/methods/controls.py"
SPLITS = "interp/tasks/splits.py"
BY_HAND = "tests/stats/test_by_hand.py"
EFFECTS_BY_HAND = "tests/effects/test_by_hand.py"
OF_EFFECTS = "tests/effects/test_effects.py"
OF_HALVES = "tests/tasks/test_halves.py"
OF_CONTROLS = "tests/methods/test_controls.py"
OF_RANKS = "tests/stats/test_selection.py"
RULE, OF_JUDGE = "interp/circuits/rule.py", "tests/circuits/test_judge.py"
ROLES, OF_ROLES = "interp/circuits/roles.py", "tests/circuits/test_roles.py"
OPENED, PAIRS = "interp/classifiers/opened.py", "interp/classifiers/pairs.py"
OF_PAIRS = "tests/classifiers/test_chosen_heads.py"


class Mutant(NamedTuple):
    """The line of the file that is replaced, by what, and the test that fails then."""

    file: str
    line: str
    wrong: str
    test: str


# What is wrong -> every place where it can be.
MUTANTS: dict[str, list[Mutant]] = {
    "estimates are of the discovery half": [
        Mutant(
            RANKS,
            "means = cluster_means(effects[:, ~discovery], clusters[~discovery]).mean(-1)",
            "means = cluster_means(effects[:, discovery], clusters[discovery]).mean(-1)",
            f"{BY_HAND}::test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts",
        ),
        Mutant(
            RANKS,
            "each = (signs[chosen, None] * effects[chosen][:, ~discovery]).mean(0)",
            "each = (signs[chosen, None] * effects[chosen][:, discovery]).mean(0)",
            f"{BY_HAND}::test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts",
        ),
        Mutant(
            RANKS,
            "held_out = cluster_means(effects[:, ~discovery], clusters[~discovery]).mean(-1)",
            "held_out = cluster_means(effects[:, discovery], clusters[discovery]).mean(-1)",
            f"{OF_RANKS}::test_directions_come_from_discovery_and_values_from_the_held_out_half",
        ),
        Mutant(
            SELECTION,
            "there, half = chosen.where(self.held_out), chosen.where(self.discovery)",
            "there, half = chosen.where(self.discovery), chosen.where(self.discovery)",
            f"{EFFECTS_BY_HAND}::test_the_table_of_a_selection_is_of_the_held_out_half",
        ),
        Mutant(
            VERDICT,
            "each = (signs[:, None] * effects)[:, ~discovery][sets[first]].mean(1)",
            "each = (signs[:, None] * effects)[:, discovery][sets[first]].mean(1)",
            f"{BY_HAND}::test_re_choices_pass_by_rank_and_by_an_interval_over_held_out_clusters",
        ),
        Mutant(
            TEST,
            "found = self.fresh.interval(self.seed)",
            "found = self.selection.screen.only(self.selection.rows)"
            ".where(self.selection.discovery).interval(self.seed)",
            f"{EFFECTS_BY_HAND}::test_what_confirms_is_fresh_with_its_own_clusters_items_and_controls",
        ),
    ],
    "the choice is made on the held-out half too": [
        Mutant(
            SELECTION,
            "half = effects.where(discovery)",
            "half = effects",
            f"{OF_EFFECTS}::test_the_strongest_of_the_discovery_half_are_chosen_and_nothing_else",
        ),
        Mutant(
            RANKS,
            "return np.sign(cluster_means(effects[:, discovery], clusters[discovery]).mean(-1))",
            "return np.sign(cluster_means(effects, clusters).mean(-1))",
            f"{OF_RANKS}::test_directions_come_from_discovery_and_values_from_the_held_out_half",
        ),
        Mutant(
            SELECTION,
            'return task.where(half="discovery")',
            'return task.where(half="held_out")',
            f"{OF_EFFECTS}::test_the_strongest_of_the_discovery_half_are_chosen_and_nothing_else",
        ),
    ],
    "confirmed on the discovery half": [
        Mutant(
            TEST,
            "            fresh.values,\n            selection.signs[rows],",
            "            np.tile(screen.values[rows][:, selection.discovery], 99)"
            "[:, : fresh.task.n],\n            selection.signs[rows],",
            f"{EFFECTS_BY_HAND}::test_what_confirms_is_fresh_with_its_own_clusters_items_and_controls",
        ),
        Mutant(
            SPLITS,
            "found = task.source.confirmation()",
            'found = task.only(task.where(half="discovery"))',
            f"{OF_HALVES}::test_what_confirms_shares_no_template_with_the_screen",
        ),
        Mutant(
            SPLITS,
            'return self._task(self._made("confirmation", wanted))',
            'return self._task(self._made("discovery", wanted))',
            f"{OF_HALVES}::test_what_confirms_shares_no_template_with_the_screen",
        ),
        Mutant(
            SPLITS,
            "return task.only(held_out)",
            "return task.only(~held_out)",
            f"{OF_HALVES}::test_a_file_confirms_on_its_held_out_half",
        ),
        Mutant(
            OPENED,
            "fresh = screen.only(chosen.rows).where(chosen.held_out)",
            "fresh = screen.only(chosen.rows).where(chosen.discovery)",
            f"{OF_PAIRS}::test_heads_of_a_model_are_chosen_and_measured_on_halves_of_its_clusters",
        ),
    ],
    "always supported": [
        Mutant(
            VERDICT,
            "    last = ranking.p >= 1 - EXTREME",
            '    return "supported"\n    last = ranking.p >= 1 - EXTREME',
            f"{BY_HAND}::test_supported_needs_rank_and_confirmation_and_every_difference",
        ),
        Mutant(
            VERDICT,
            "if not confirmation.enough or not ranking.ran:",
            "if not ranking.ran:",
            f"{BY_HAND}::test_too_few_sets_or_clusters_decide_nothing",
        ),
        Mutant(
            VERDICT,
            "if not confirmation.enough or not ranking.ran:",
            "if not confirmation.enough:",
            f"{BY_HAND}::test_too_few_sets_or_clusters_decide_nothing",
        ),
        Mutant(
            VERDICT,
            "if ranking.p <= EXTREME and all(each.low > 0 for each in beyond):",
            "if all(each.low > 0 for each in beyond):",
            f"{BY_HAND}::test_supported_needs_rank_and_confirmation_and_every_difference",
        ),
        Mutant(
            VERDICT,
            "if ranking.p <= EXTREME and all(each.low > 0 for each in beyond):",
            "if ranking.p <= EXTREME:",
            f"{BY_HAND}::test_supported_needs_rank_and_confirmation_and_every_difference",
        ),
        Mutant(
            VERDICT,
            "if ranking.p <= EXTREME and all(each.low > 0 for each in beyond):",
            "if ranking.p <= EXTREME and any(each.low > 0 for each in beyond):",
            f"{BY_HAND}::test_supported_needs_rank_and_confirmation_and_every_difference",
        ),
        Mutant(
            VERDICT,
            "beyond = [confirmation.chosen, *confirmation.differences.values()]",
            "beyond = [confirmation.chosen]",
            f"{BY_HAND}::test_supported_needs_rank_and_confirmation_and_every_difference",
        ),
        Mutant(
            TEST,
            "return decide(self.ranking, self.confirmation)",
            'return "supported"',
            f"{OF_EFFECTS}::test_an_effect_that_turns_round_on_fresh_prompts_is_not_supported",
        ),
        Mutant(
            VERDICT,
            'if found == {"supported"}:',
            'if "supported" in found:',
            f"{OF_EFFECTS}::test_several_tests_hold_together",
        ),
    ],
    "the control is the chosen": [
        Mutant(
            OPENED,
            "return {way: replace(fresh, values=values) for way, values in found.items()}",
            "return dict.fromkeys(found, fresh)",
            f"{OF_PAIRS}::test_heads_of_a_model_are_chosen_and_measured_on_halves_of_its_clusters",
        ),
        Mutant(
            VERDICT,
            "theirs = {name: (signs[:, None] * each).mean(0) for name, each in controls.items()}",
            "theirs = {name: (signs[:, None] * effects).mean(0) for name, each in controls.items()}",
            f"{BY_HAND}::test_a_confirmation_is_the_signed_mean_with_intervals_over_clusters_and_items",
        ),
        Mutant(
            RANKS,
            "drawn = random_sets(chosen, strata, draws, seed)",
            "drawn = np.tile(chosen, (draws, 1))",
            f"{BY_HAND}::test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts",
        ),
        Mutant(
            TEST,
            "{name: each.values for name, each in controls.items()},",
            "{name: fresh.values for name, each in controls.items()},",
            f"{EFFECTS_BY_HAND}::test_what_confirms_is_fresh_with_its_own_clusters_items_and_controls",
        ),
        Mutant(
            CONTROLS,
            "ways += [run.moved(bank, way, draw, seed) for way in WAYS for draw in range(draws)]"
            "\n            interventions",
            "ways += [run.other for way in WAYS for draw in range(draws)]"
            "\n            interventions",
            f"{OF_CONTROLS}::test_controls_on_fresh_prompts_are_whole_runs_moved_elsewhere",
        ),
        Mutant(
            CONTROLS,
            "ways += [run.moved(bank, way, draw, seed) for way in WAYS for draw in range(draws)]"
            "\n        changes",
            "ways += [run.other for way in WAYS for draw in range(draws)]\n        changes",
            f"{OF_CONTROLS}::test_controls_of_the_last_attention_without_mlps_act_directly",
        ),
        Mutant(
            RANKS,
            "left = np.setdiff1d(alike, [*chosen, *found])",
            "left = np.array([row])",
            f"{OF_EFFECTS}::test_matched_components_are_of_the_same_layers_and_not_chosen",
        ),
    ],
    "the control is nothing": [
        Mutant(
            VERDICT,
            "theirs = {name: (signs[:, None] * each).mean(0) for name, each in controls.items()}",
            "theirs = {name: 0 * each.mean(0) for name, each in controls.items()}",
            f"{BY_HAND}::test_a_confirmation_is_the_signed_mean_with_intervals_over_clusters_and_items",
        ),
        Mutant(
            RANKS,
            "return [(np.flatnonzero(strata == each), int(k))",
            "return [(np.arange(len(strata)), int(k))",
            f"{OF_RANKS}::test_random_sets_have_as_many_of_each_layer_and_none_twice",
        ),
    ],
    "the sign of the effect is dropped": [
        Mutant(
            VERDICT,
            "ours = (signs[:, None] * effects).mean(0)",
            "ours = effects.mean(0)",
            f"{BY_HAND}::test_a_confirmation_is_the_signed_mean_with_intervals_over_clusters_and_items",
        ),
        Mutant(
            VERDICT,
            "ours = (signs[:, None] * effects).mean(0)",
            "ours = np.abs(effects).mean(0)",
            f"{BY_HAND}::test_a_confirmation_is_the_signed_mean_with_intervals_over_clusters_and_items",
        ),
        Mutant(
            VERDICT,
            "theirs = {name: (signs[:, None] * each).mean(0) for name, each in controls.items()}",
            "theirs = {name: each.mean(0) for name, each in controls.items()}",
            f"{BY_HAND}::test_a_confirmation_is_the_signed_mean_with_intervals_over_clusters_and_items",
        ),
        Mutant(
            RANKS,
            "float((signs * means)[chosen].mean())",
            "float(np.abs(means)[chosen].mean())",
            f"{BY_HAND}::test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts",
        ),
        Mutant(
            RANKS,
            "return signs * held_out",
            "return held_out",
            f"{OF_RANKS}::test_directions_come_from_discovery_and_values_from_the_held_out_half",
        ),
        Mutant(
            RANKS,
            "own, theirs = (signs * means)[drawn].mean(-1), (of_chosen * means[drawn]).mean(-1)",
            "own, theirs = means[drawn].mean(-1), means[drawn].mean(-1)",
            f"{BY_HAND}::test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts",
        ),
        Mutant(
            RANKS,
            "each = (signs[chosen, None] * effects[chosen][:, ~discovery]).mean(0)",
            "each = effects[chosen][:, ~discovery].mean(0)",
            f"{BY_HAND}::test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts",
        ),
        Mutant(
            SELECTION,
            'rows = np.argsort(-np.abs(means), kind="stable")[:top]',
            'rows = np.argsort(-means, kind="stable")[:top]',
            f"{OF_EFFECTS}::test_the_strongest_of_the_discovery_half_are_chosen_and_nothing_else",
        ),
        Mutant(
            SELECTION,
            "return Selection(effects, rows, np.sign(means), discovery)",
            "return Selection(effects, rows, np.ones_like(means), discovery)",
            f"{OF_EFFECTS}::test_the_strongest_of_the_discovery_half_are_chosen_and_nothing_else",
        ),
    ],
    "clusters are ignored": [
        Mutant(
            PAIRS,
            "numbered = zip(chosen, premises(chosen).tolist(), strict=True)",
            "numbered = zip(chosen, range(len(chosen)), strict=True)",
            f"{OF_PAIRS}::test_every_other_cluster_of_pairs_is_held_out_and_none_is_in_both_halves",
        ),
        Mutant(
            VERDICT,
            "mean(ours, clusters, items, seed=seed),",
            "mean(ours, None, None, seed=seed),",
            f"{BY_HAND}::test_a_confirmation_is_the_signed_mean_with_intervals_over_clusters_and_items",
        ),
        Mutant(
            VERDICT,
            "{name: mean(ours - each, clusters, items, seed=seed) for name, each in theirs.items()},",
            "{name: mean(ours - each, None, None, seed=seed) for name, each in theirs.items()},",
            f"{BY_HAND}::test_a_confirmation_is_the_signed_mean_with_intervals_over_clusters_and_items",
        ),
        Mutant(
            VERDICT,
            "passed = mean(each, clusters[~discovery], seed=seed).low > 0",
            "passed = mean(each, None, seed=seed).low > 0",
            f"{BY_HAND}::test_re_choices_pass_by_rank_and_by_an_interval_over_held_out_clusters",
        ),
        Mutant(
            RANKS,
            "held_out = mean(each, clusters[~discovery], seed=seed)",
            "held_out = mean(each, None, seed=seed)",
            f"{BY_HAND}::test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts",
        ),
        Mutant(
            EFFECTS,
            "found = stats.mean(self.values, self.task.clusters, self.task.items, seed=seed)",
            "found = stats.mean(self.values, None, None, seed=seed)",
            f"{EFFECTS_BY_HAND}::test_the_interval_and_the_table_are_over_clusters_and_items",
        ),
        Mutant(
            EFFECTS,
            "found = stats.table(self.values, task.clusters, task.items, signed=self.signed, seed=seed)",
            "found = stats.table(self.values, None, None, signed=self.signed, seed=seed)",
            f"{EFFECTS_BY_HAND}::test_the_interval_and_the_table_are_over_clusters_and_items",
        ),
        Mutant(
            SELECTION,
            "found = stats.table(there.values, there.task.clusters, signed=there.signed, seed=seed)",
            "found = stats.table(there.values, None, signed=there.signed, seed=seed)",
            f"{EFFECTS_BY_HAND}::test_the_table_of_a_selection_is_of_the_held_out_half",
        ),
    ],
    "items are ignored": [
        Mutant(
            VERDICT,
            "mean(ours, clusters, items, seed=seed),",
            "mean(ours, clusters, None, seed=seed),",
            f"{BY_HAND}::test_a_confirmation_is_the_signed_mean_with_intervals_over_clusters_and_items",
        ),
        Mutant(
            TEST,
            "            fresh.task.items,\n",
            "            None,\n",
            f"{EFFECTS_BY_HAND}::test_what_confirms_is_fresh_with_its_own_clusters_items_and_controls",
        ),
    ],
    "a circuit is judged by less than its rule": [
        Mutant(
            RULE,
            "    if floor <= low and high <= 2 - floor:",
            "    if floor <= high:",
            f"{OF_JUDGE}::test_supported_is_an_interval_within_bounds_and_above_random_circuits",
        ),
        Mutant(
            RULE,
            "    if p > EXTREME:",
            "    if False:",
            f"{OF_JUDGE}::test_supported_is_an_interval_within_bounds_and_above_random_circuits",
        ),
        Mutant(
            RULE,
            "    if p > EXTREME:",
            "    if reach:",
            f"{OF_JUDGE}::test_more_random_circuits_make_the_rule_no_stricter",
        ),
        Mutant(
            RULE,
            "    if high < floor or low > 2 - floor:",
            "    if False:",
            f"{OF_JUDGE}::test_not_supported_is_an_interval_outside_of_a_circuit_that_random_ones_do_not_reach",
        ),
        Mutant(
            RULE,
            "    return float((1 + (~(ahead > 0)).sum()) / (1 + len(ahead)))",
            "    return float((~(ahead > 0)).sum() / len(ahead))",
            f"{OF_JUDGE}::test_a_rank_counts_the_random_circuits_that_are_not_surely_behind",
        ),
        Mutant(
            "interp/circuits/evaluate.py",
            "more = self.metric[:1] - self.metric[1:]",
            "more = self.metric[:1].mean(-1, keepdims=True) - self.metric[1:]",
            f"{OF_JUDGE}::test_differences_are_paired_by_template",
        ),
    ],
    "nothing is ever not supported": [
        Mutant(
            VERDICT,
            "if last or confirmation.chosen.high < 0:",
            "if False:",
            f"{BY_HAND}::test_not_supported_is_a_confirmation_or_a_last_rank_with_an_interval_below_zero",
        ),
        Mutant(
            VERDICT,
            "if last or confirmation.chosen.high < 0:",
            "if last:",
            f"{BY_HAND}::test_not_supported_is_a_confirmation_or_a_last_rank_with_an_interval_below_zero",
        ),
        Mutant(
            VERDICT,
            "if last or confirmation.chosen.high < 0:",
            "if confirmation.chosen.high < 0:",
            f"{BY_HAND}::test_not_supported_is_a_confirmation_or_a_last_rank_with_an_interval_below_zero",
        ),
        Mutant(
            VERDICT,
            "last = ranking.p >= 1 - EXTREME and below",
            "last = ranking.p >= 1 - EXTREME",
            f"{BY_HAND}::test_not_supported_is_a_confirmation_or_a_last_rank_with_an_interval_below_zero",
        ),
        Mutant(
            VERDICT,
            "below = ranking.held_out.high < 0 and confirmation.chosen.value < 0",
            "below = ranking.held_out.high < 0",
            f"{BY_HAND}::test_not_supported_is_a_confirmation_or_a_last_rank_with_an_interval_below_zero",
        ),
        Mutant(
            VERDICT,
            'return "not supported" if "not supported" in found else "inconclusive"',
            'return "inconclusive"',
            f"{OF_EFFECTS}::test_several_tests_hold_together",
        ),
    ],
    "the p of a rank is half of what it is": [
        Mutant(
            RANKS,
            "return float((1 + (null >= value - _slack(null)).sum()) / (1 + len(null)))",
            "return float((1 + (null >= value - _slack(null)).sum()) / (1 + len(null))) / 2",
            f"{BY_HAND}::test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts",
        ),
        Mutant(
            RANKS,
            "return float((null >= value - _slack(null)).mean())",
            "return float((null >= value - _slack(null)).mean()) / 2",
            f"{BY_HAND}::test_few_sets_give_the_share_of_all_of_them",
        ),
        Mutant(
            RANKS,
            "p = max(_above(own, value), _above(theirs, value))",
            "p = min(_above(own, value), _above(theirs, value))",
            f"{BY_HAND}::test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts",
        ),
        Mutant(
            RANKS,
            "EXTREME = 0.025",
            "EXTREME = 0.05",
            f"{BY_HAND}::test_supported_needs_rank_and_confirmation_and_every_difference",
        ),
    ],
    "a head is named without one of the three things": [
        Mutant(
            ROLES,
            "each = [[name for name, things in found.items() if things[:, row].all()] for row in range(n)]",
            "each = [[name for name, things in found.items() if things[:, row].any()] for row in range(n)]",
            f"{OF_ROLES}::test_a_name_is_the_first_rule_of_which_all_three_things_are_found",
        ),
        Mutant(
            ROLES,
            "self._add(name, where[name], sign * copying >= COPIES, acts)",
            "self._add(name, where[name], copying >= COPIES, acts)",
            f"{OF_ROLES}::test_the_heads_that_move_a_name_are_named_and_no_others",
        ),
        Mutant(
            ROLES,
            'removed = ablate(model, self.fresh, heads, ["resample"])',
            'removed = ablate(model, self.task, heads, ["resample"])',
            f"{OF_ROLES}::test_interventions_are_on_fresh_prompts_and_without_an_effect_there_is_no_name",
        ),
    ],
}
