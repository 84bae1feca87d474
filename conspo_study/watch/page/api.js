// Questions to the server this page came from.

/** The JSON answer. Raises Error with the server's words, or that it does not answer. */
export async function ask(path, question = {}, signal = undefined) {
  const query = new URLSearchParams(question).toString();
  let reply;
  try {
    reply = await fetch(`/api/${path}${query ? `?${query}` : ""}`, { signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("the server does not answer; is `watch` still running?");
  }
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error ?? reply.statusText);
  return answer;
}
