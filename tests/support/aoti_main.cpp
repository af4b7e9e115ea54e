// Runs a package of AOTInductor in a process without Python:
//   aoti_main PACKAGE INPUT OUTPUT N C H W [LIBRARY]
// INPUT and OUTPUT hold floats. LIBRARY is fastconv._standalone, which brings the operators. The
// program prints the libraries of Python and of OpenMP that it has loaded in the end.
#include <ATen/ATen.h>
#include <dlfcn.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc > 8 && !dlopen(argv[8], RTLD_NOW)) {
    std::cerr << dlerror() << "\n";
    return 2;
  }
  std::vector<int64_t> sizes;
  for (int i = 4; i < 8; ++i) sizes.push_back(std::atoll(argv[i]));
  at::Tensor x = at::empty(sizes);
  std::ifstream(argv[2], std::ios::binary)
      .read(static_cast<char*>(x.data_ptr()), static_cast<std::streamsize>(x.nbytes()));
  torch::inductor::AOTIModelPackageLoader loader(argv[1]);
  const at::Tensor y = loader.run({x}).at(0).contiguous();
  std::ofstream(argv[3], std::ios::binary)
      .write(static_cast<const char*>(y.const_data_ptr()),
             static_cast<std::streamsize>(y.nbytes()));
  std::set<std::string> seen;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::string path = line.find('/') == line.npos ? "" : line.substr(line.rfind('/') + 1);
    for (const char* name : {"libpython", "torch_python", "gomp", "iomp", "libomp"})
      if (path.find(name) != path.npos) seen.insert(path);
  }
  for (const std::string& library : seen) std::cout << library << "\n";
}
