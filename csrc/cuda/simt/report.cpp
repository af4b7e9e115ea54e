// Errors and counters of the SIMT shim. Layer: cuda/simt.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "state.h"

namespace simt {

void free_memory();
bool counting = false;

namespace {

constexpr size_t MAX_ERRORS = 32;
constexpr int SECTOR = 32, BANKS = 32, BANK_BYTES = 4;

// Files whose functions access memory for their caller, whose line is named instead.
constexpr const char* HELPERS[] = {"/simt/", "compat.h", "tensor_cores.h", "elements.h"};

std::vector<std::string> errors;
std::set<std::string> known;
std::string text;

// The file and line of an instruction: the innermost frame that is not a helper's.
std::string place_of(void* pc) {
  Dl_info info;
  if (!dladdr(pc, &info)) return "?";
  char command[1024];
  std::snprintf(
      command, sizeof command, "addr2line -i -e '%s' %#lx 2>/dev/null", info.dli_fname,
      static_cast<unsigned long>(static_cast<char*>(pc) - 1 - static_cast<char*>(info.dli_fbase)));
  std::string found = "?", line;
  FILE* pipe = popen(command, "r");
  if (!pipe) return found;
  char buffer[1024];
  while (std::fgets(buffer, sizeof buffer, pipe)) {
    line = buffer;
    line = line.substr(0, line.find_first_of(" \n"));
    if (found == "?") found = line;
    const auto names = [&](const char* part) { return line.find(part) != std::string::npos; };
    if (std::none_of(std::begin(HELPERS), std::end(HELPERS), names)) {
      found = line;
      break;
    }
  }
  pclose(pipe);
  return found;
}

void add(const std::string& kind, const std::string& what, const std::string& place) {
  if (errors.size() < MAX_ERRORS)
    errors.push_back(kind + " at " + place + " in '" + block.kernel + "': " + what);
}

// One thread's access, to be grouped with those of the other lanes of its warp: the same
// instruction, executed for the same number of times since the last barrier.
struct Traced {
  int warp;
  void* pc;
  int turn;
  uintptr_t address;
  int size;
  bool is_shared;
};
std::vector<Traced> trace;
std::map<std::pair<int, void*>, int> turns;         // of (thread, instruction)
std::set<uintptr_t> read_sectors, written_sectors;  // of the block
int64_t launches, requests, sectors, ideal_sectors, bytes_read, bytes_written;
int64_t shared_requests, wavefronts, ideal_wavefronts;

void add_request(std::vector<Traced>::const_iterator first,
                 std::vector<Traced>::const_iterator last) {
  std::set<uintptr_t> touched;  // sectors, or words of shared memory
  int64_t bytes = 0;
  const int unit = first->is_shared ? BANK_BYTES : SECTOR;
  for (auto i = first; i != last; ++i) {
    bytes += i->size;
    for (uintptr_t a = i->address / unit; a <= (i->address + i->size - 1) / unit; ++a)
      touched.insert(a);
  }
  if (!first->is_shared) {
    ++requests, sectors += touched.size(), ideal_sectors += (bytes + SECTOR - 1) / SECTOR;
    return;
  }
  int64_t of_bank[BANKS] = {};
  for (uintptr_t word : touched) ++of_bank[word % BANKS];
  ++shared_requests;
  wavefronts += *std::max_element(of_bank, of_bank + BANKS);
  ideal_wavefronts += (int64_t(touched.size()) + BANKS - 1) / BANKS;
}

}  // namespace

void report(const std::string& kind, const std::string& what, void* pc) {
  if (known.insert(kind + std::to_string(reinterpret_cast<uintptr_t>(pc))).second)
    add(kind, what, place_of(pc));
}

void report(const std::string& kind, const std::string& what, Place place) {
  const std::string where = std::string(place.file) + ":" + std::to_string(place.line);
  if (known.insert(kind + where).second) add(kind, what, where);
}

void count_access(const Allocation& a, uintptr_t address, int size, bool write, void* pc) {
  const Thread& t = *block.current;
  trace.push_back({t.warp, pc, turns[{t.linear, pc}]++, address, size, a.is_shared});
  if (!a.is_shared) (write ? written_sectors : read_sectors).insert(address / SECTOR);
}

void count_flush(bool end_of_block) {
  const auto key = [](const Traced& t) { return std::make_tuple(t.warp, t.pc, t.turn); };
  std::stable_sort(trace.begin(), trace.end(),
                   [&](const Traced& a, const Traced& b) { return key(a) < key(b); });
  for (auto first = trace.cbegin(); first != trace.cend();) {
    const auto last =
        std::find_if(first, trace.cend(), [&](const Traced& t) { return key(t) != key(*first); });
    add_request(first, last);
    first = last;
  }
  trace.clear();
  turns.clear();
  if (!end_of_block) return;
  bytes_read += SECTOR * int64_t(read_sectors.size());
  bytes_written += SECTOR * int64_t(written_sectors.size());
  read_sectors.clear();
  written_sectors.clear();
}

void count_launch() { ++launches; }

}  // namespace simt

const char* simt_errors() {
  simt::text.clear();
  for (const std::string& e : simt::errors) simt::text += e + "\n";
  return simt::text.c_str();
}

void simt_reset() {
  using namespace simt;
  free_memory();
  errors.clear();
  known.clear();
  launches = requests = sectors = ideal_sectors = bytes_read = bytes_written = 0;
  shared_requests = wavefronts = ideal_wavefronts = 0;
}

void simt_set_counting(int on) { simt::counting = on != 0; }

void simt_counters(int64_t c[10]) {
  using namespace simt;
  const int64_t all[] = {launches,      requests,        sectors,    ideal_sectors,    bytes_read,
                         bytes_written, shared_requests, wavefronts, ideal_wavefronts, 0};
  std::copy(all, all + 10, c);
}
