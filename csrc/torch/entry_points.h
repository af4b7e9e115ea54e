// The entry points of fastconv._C, as the library of this folder was given them. Layer: torch host.
#pragma once

#include "../bindings/host.h"

namespace fastconv::torch_host {

inline const bindings::EntryPoints* entry_points = nullptr;

}  // namespace fastconv::torch_host
