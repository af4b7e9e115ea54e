"""Which fastconv operators a dispatch mode gets to see."""

from torch.utils._python_dispatch import TorchDispatchMode


class Operators(TorchDispatchMode):
    """Names of the fastconv operators called while it is on, in order."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "fastconv":
            self.names.append(function._opname)
        return function(*args, **(kwargs or {}))
