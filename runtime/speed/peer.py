"""Times llama.cpp on request: reads one JSON object a line ({"prefill": N} or {"decode": STEPS, "context": N, "batch": B}),
answers with one ({"seconds": S}). Sequences of a batch share their context, as samples of one prompt do."""

import json
import sys
import time

import llama_cpp as peer


def fail(message):
    print(json.dumps({"error": message}), flush=True)
    sys.exit(1)


class Bench:
    def __init__(self, path, threads, context, sequences):
        begun = time.perf_counter()
        peer.llama_backend_init()
        self.model = peer.llama_model_load_from_file(path.encode(), peer.llama_model_default_params())
        if not self.model:
            fail("the model cannot be loaded")
        settings = peer.llama_context_default_params()
        settings.n_ctx = context
        settings.n_batch = settings.n_ubatch = 512
        settings.n_seq_max = sequences
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = True
        self.context = peer.llama_init_from_model(self.model, settings)
        if not self.context:
            fail("no context can be made")
        self.memory = peer.llama_get_memory(self.context)
        self.batch = peer.llama_batch_init(512, 0, 1)
        self.vocabulary = peer.llama_vocab_n_tokens(peer.llama_model_get_vocab(self.model))
        self.load_seconds = time.perf_counter() - begun

    def run(self, rows):
        """Runs rows of (sequence, position, whether its logits are wanted)."""
        self.batch.n_tokens = len(rows)
        for index, (sequence, position, wanted) in enumerate(rows):
            self.batch.token[index] = (position * 7919 + sequence * 104729) % min(self.vocabulary, 20000)
            self.batch.pos[index] = position
            self.batch.n_seq_id[index] = 1
            self.batch.seq_id[index][0] = sequence
            self.batch.logits[index] = wanted
        if peer.llama_decode(self.context, self.batch) != 0:
            fail("a step failed")
        peer.llama_synchronize(self.context)

    def prefill(self, tokens):
        peer.llama_memory_clear(self.memory, True)
        begun = time.perf_counter()
        for start in range(0, tokens, 512):
            end = min(start + 512, tokens)
            self.run([(0, position, position + 1 == tokens) for position in range(start, end)])
        return time.perf_counter() - begun

    def decode(self, steps, context, batch):
        self.prefill(context)
        for sequence in range(1, batch):
            peer.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        begun = time.perf_counter()
        for step in range(steps):
            self.run([(sequence, context + step, True) for sequence in range(batch)])
        return time.perf_counter() - begun


def main():
    path, threads, context, sequences = sys.argv[1], *map(int, sys.argv[2:])
    silent = peer.llama_log_callback(lambda level, text, data: None)
    peer.llama_log_set(silent, None)
    bench = Bench(path, threads, context, sequences)
    print(json.dumps({"version": "llama.cpp in llama-cpp-python " + peer.__version__, "load_seconds": bench.load_seconds}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "prefill" in asked:
            seconds = bench.prefill(asked["prefill"])
        else:
            seconds = bench.decode(asked["decode"], asked["context"], asked["batch"])
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
