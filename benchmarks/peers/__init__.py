"""Who is measured: fastconv and its peers, each as a call for one layer and direction.

A peer that is not installed, or does not offer a direction, says so and is left out by name.
"""

from collections.abc import Callable
from importlib import import_module

from benchmarks.peers import torch_layers
from benchmarks.peers.contender import OURS, Contender, Problem, Unavailable
from benchmarks.peers.torch_layers import kernel, kernel_shape

__all__ = [
    "LABELS",
    "OURS",
    "PACKAGES",
    "PEERS",
    "Contender",
    "Problem",
    "Unavailable",
    "contender",
    "kernel",
    "kernel_shape",
]


def _imported(module: str) -> Callable[[Problem, str], Contender]:
    """A peer whose file here imports an optional package."""

    def make(problem: Problem, direction: str) -> Contender:
        return import_module(f"benchmarks.peers.{module}_peer").contender(problem, direction)

    return make


PEERS: dict[str, Callable[[Problem, str], Contender]] = {
    OURS: torch_layers.fastconv,
    "eager": torch_layers.eager,
    "channels_last": torch_layers.channels_last,
    "compile": torch_layers.compiled,
    "onnxruntime": _imported("onnxruntime"),
    "openvino": _imported("openvino"),
    "jax": _imported("jax"),
    "fastconv_channels_last": torch_layers.fastconv_channels_last,
}
LABELS = {
    "eager": "torch NCHW",
    "channels_last": "torch channels_last",
    "compile": "torch.compile",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "jax": "JAX",
    "fastconv_channels_last": "fastconv channels_last",
}
PACKAGES = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino"),
            "jax": ("jax",)}  # fmt: skip


def contender(peer: str, problem: Problem, direction: str) -> Contender:
    """
    Raises:
        Unavailable: the peer is not installed, or does not offer this.
    """
    try:
        return PEERS[peer](problem, direction)
    except ImportError as error:
        raise Unavailable(f"not installed ({error.name or error})") from error
