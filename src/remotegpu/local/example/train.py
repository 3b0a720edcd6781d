"""Example task: trains a small neural network with NumPy on data it makes itself; takes a few seconds.

Two interleaved spirals, one hidden-layer perceptron, full-batch Adam. Prints a progress line per interval and writes
``result.npz`` (weights) and ``metrics.json`` to ``REMOTEGPU_OUTPUT_DIR``, from where RemoteGPU keeps them.
Runs on any machine with NumPy; a real job would use the GPUs named in ``CUDA_VISIBLE_DEVICES``.
"""

import argparse
import json
import os
import time
from itertools import pairwise
from pathlib import Path

# Before NumPy loads its BLAS: matrices this small gain nothing from threads, which wait for each other on a busy host.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
HIDDEN = 48
LEARNING_RATE = 0.02
DECAY = (0.9, 0.999)
"""Adam's two decay rates (Kingma and Ba, 2015)."""


def main() -> None:
    options = parse_options()
    output = Path(os.environ.get("REMOTEGPU_OUTPUT_DIR", "."))
    random = np.random.default_rng(options.seed)
    points, labels = make_spirals(random, options.points)
    weights = make_weights(random)
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") or "none"
    print(f"training on {options.points} points, {options.epochs} epochs, GPUs: {gpus}", flush=True)
    started = time.perf_counter()
    loss, accuracy = train(weights, points, labels, options.epochs)
    seconds = time.perf_counter() - started
    np.savez(output / "result.npz", allow_pickle=False, **weights)
    metrics = {
        "epochs": options.epochs,
        "loss": loss,
        "accuracy": accuracy,
        "seconds": seconds,
        "seed": options.seed,
    }
    (output / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(
        f"done: accuracy {accuracy:.3f} after {seconds:.1f} s; wrote result.npz and metrics.json", flush=True
    )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--points", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


def make_spirals(random: np.random.Generator, count: int) -> tuple[Array, Array]:
    """``count`` points on two spirals, shape (count, 2), with labels 0 and 1, shape (count, 1)."""
    labels = np.arange(count) % 2
    radius = np.linspace(0.1, 1.0, count)
    angle = 3.5 * np.pi * radius + np.pi * labels
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points + random.normal(scale=0.01, size=points.shape), labels[:, None].astype(np.float64)


def make_weights(random: np.random.Generator) -> dict[str, Array]:
    sizes = [2, HIDDEN, HIDDEN, 1]
    weights: dict[str, Array] = {}
    for layer, (rows, columns) in enumerate(pairwise(sizes)):
        weights[f"w{layer}"] = random.normal(scale=np.sqrt(2.0 / rows), size=(rows, columns))
        weights[f"b{layer}"] = np.zeros(columns)
    return weights


def train(weights: dict[str, Array], points: Array, labels: Array, epochs: int) -> tuple[float, float]:
    """Full-batch Adam; returns the last loss (nats per point) and accuracy (0–1)."""
    momentum = {name: np.zeros_like(value) for name, value in weights.items()}
    variance = {name: np.zeros_like(value) for name, value in weights.items()}
    loss = accuracy = 0.0
    for epoch in range(1, epochs + 1):
        gradients, loss, accuracy = backpropagate(weights, points, labels)
        for name, gradient in gradients.items():
            momentum[name] += (1 - DECAY[0]) * (gradient - momentum[name])
            variance[name] += (1 - DECAY[1]) * (gradient**2 - variance[name])
            step = momentum[name] / (1 - DECAY[0] ** epoch)
            scale = np.sqrt(variance[name] / (1 - DECAY[1] ** epoch)) + 1e-8
            weights[name] -= LEARNING_RATE * step / scale
        if epoch % max(1, epochs // 10) == 0:
            print(f"epoch {epoch:4d}/{epochs}  loss {loss:.4f}  accuracy {accuracy:.3f}", flush=True)
    return loss, accuracy


def backpropagate(
    weights: dict[str, Array], points: Array, labels: Array
) -> tuple[dict[str, Array], float, float]:
    """Gradients of the mean cross-entropy, that loss, and the accuracy."""
    first = np.tanh(points @ weights["w0"] + weights["b0"])
    second = np.tanh(first @ weights["w1"] + weights["b1"])
    chance = 1.0 / (1.0 + np.exp(-(second @ weights["w2"] + weights["b2"])))
    loss = -np.mean(labels * np.log(chance + 1e-12) + (1 - labels) * np.log(1 - chance + 1e-12))
    accuracy = np.mean((chance > 0.5) == (labels > 0.5))
    at_output = (chance - labels) / len(points)
    at_second = at_output @ weights["w2"].T * (1 - second**2)
    at_first = at_second @ weights["w1"].T * (1 - first**2)
    gradients = {
        "w2": second.T @ at_output,
        "b2": at_output.sum(axis=0),
        "w1": first.T @ at_second,
        "b1": at_second.sum(axis=0),
        "w0": points.T @ at_first,
        "b0": at_first.sum(axis=0),
    }
    return gradients, float(loss), float(accuracy)


if __name__ == "__main__":
    main()
