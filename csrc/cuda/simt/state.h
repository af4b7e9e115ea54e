// What the parts of the SIMT shim share. Layer: cuda/simt.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simt.h"

namespace simt {

// Who touched a cell, and when: two accesses of one block are ordered if a barrier lies between
// them, or, within a warp, a warp operation.
struct Access {
  int32_t block = -1, thread = -1;
  uint32_t epoch = 0, warp_epoch = 0;
};

// The history of one element of memory.
struct Cell {
  uint32_t launch = 0;
  bool initialised = false;
  bool pending = false;          // an asynchronous copy will write it
  bool many_blocks = false;      // blocks other than first_block have read it
  int32_t first_block = -1;      // the block that read it first
  Access writer, reader, other;  // `other`: a reader of another thread, if possible of another warp
};

struct Allocation {
  std::string name;
  uintptr_t begin;
  int64_t bytes, granule;
  std::vector<Cell> cells;
  bool is_shared;
};

struct PendingCopy {
  uintptr_t to;
  int bytes, group;
  unsigned char data[16];
};

enum class State { ready, at_barrier, in_meeting, done };

struct Thread {
  Dim index;
  int linear = 0, warp = 0, lane = 0;
  State state = State::ready;
  Place place{nullptr, 0};
  unsigned mask = 0;
  void* given = nullptr;
  Combine combine = nullptr;
  const void* about = nullptr;
  int group = 0;
  std::vector<PendingCopy> copies;
  void* stack = nullptr;
};

// The block that runs.
struct Block {
  int32_t number = 0;
  uint32_t launch = 0, epoch = 0;
  Dim index, extents, grid;
  std::vector<Thread> threads;
  std::vector<uint32_t> warp_epochs;
  Thread* current = nullptr;
  const char* kernel = "";
  bool failed = false;  // a check has ended the kernel
};
extern Block block;

// memory.cpp
void begin_block_memory();
void end_block_memory();
void touch(const void* address, int size, bool write, void* pc);
Allocation* find(uintptr_t address);
// report.cpp
void report(const std::string& kind, const std::string& what, void* pc);
void report(const std::string& kind, const std::string& what, Place place);
extern bool counting;
void count_access(const Allocation&, uintptr_t address, int size, bool write, void* pc);
void count_flush(bool end_of_block);
void count_launch();
// runtime.cpp: leaves the fiber for ever, after an error that its next instruction would follow up.
[[noreturn]] void end_kernel();

}  // namespace simt
