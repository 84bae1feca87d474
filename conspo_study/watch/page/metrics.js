// Metrics by the stage of a step that they tell of.

const STAGES = [
  ["evaluation", /^eval\//],
  ["time and memory", /^time\/|^tokens(_per_s)?$|^flops$|^mfu$|^peak_memory|^micro_batches_halved$/],
  ["rewards and groups", /^reward|^correct_fraction$|^undecided|^no_answer|^valid_|^all_(correct|wrong)_|^too_small_|^gold_bad_|^dropped_rollout|^groups$|^refill_|^silent_groups$|^shaped_reward$|^overlong_|^unevaluated/],
  ["responses", /^response_length|^truncated_|^(policy_)?entropy$/],
  ["scores", /^score|^pairwise_accuracy$|^credit|^advantage|^push$|^p_positive$|^effective_negatives|^margin/],
  ["off-policyness", /^kl_|^ratio_|^sequence_|^mismatch_|^importance_|^staleness$|^old_logprobs|^clip_fraction|^cap_hit$|^gate_weight$|^constraint_kl$|^reference_kl$|^hinge_active$|^penalty_share$/],
  ["update", /^loss|^grad_|^learning_rate$|^updates$|^step_skipped$|^progress$|^grpo_identity/],
];
const OTHER = "other";

/** The stage of a metric; those of a training function's own are under "other". */
export function stage(name) {
  return STAGES.find(([, pattern]) => pattern.test(name))?.[0] ?? OTHER;
}

/** Options for a choice: `first` alone, then the others by stage. */
export function byStage(first, names) {
  const rest = names.filter((name) => !first.includes(name));
  const order = [...STAGES.map(([title]) => title), OTHER];
  const groups = order.map((title) => ({ group: title, options: rest.filter((name) => stage(name) === title).sort() }));
  return [...first, ...groups.filter(({ options }) => options.length)];
}
