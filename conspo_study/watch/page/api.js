// Questions to this page's server.

import { store } from "./store.js";

/** The JSON answer, of the study that is shown. Throws an Error with the server's message, or that the
 * server does not answer. */
export async function ask(path, question = {}, signal = undefined) {
  return answered(fetch(target(path, question), { signal, cache: "no-store" }), signal);
}

/** Send JSON data, and return the answer, as `ask` does. */
export async function send(path, data) {
  const headers = { "Content-Type": "application/json" };
  return answered(fetch(target(path, {}), { method: "POST", headers, body: JSON.stringify(data) }));
}

function target(path, question) {
  const query = new URLSearchParams(store.of === null ? question : { ...question, of: store.of }).toString();
  return `/api/${path}${query ? `?${query}` : ""}`;
}

async function answered(request, signal) {
  let reply;
  try {
    reply = await request;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The server does not answer. Is `conspo watch` still running?");
  }
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error ?? reply.statusText);
  return answer;
}
