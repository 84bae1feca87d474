// Questions to this page's server.

/** The JSON answer. Throws an Error with the server's message, or that the server does not answer. */
export async function ask(path, question = {}, signal = undefined) {
  const query = new URLSearchParams(question).toString();
  let reply;
  try {
    reply = await fetch(`/api/${path}${query ? `?${query}` : ""}`, { signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The server does not answer. Is `conspo watch` still running?");
  }
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error ?? reply.statusText);
  return answer;
}
