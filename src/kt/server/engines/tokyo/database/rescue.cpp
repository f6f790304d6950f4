#include "tokyo/database/rescue.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "tokyo/database/cursor.h"
#include "tokyo/database/store.h"

namespace kt::tokyo {

namespace {

// The begin of every file: magic bytes, ..., flags.
constexpr char MAGIC[] = "ToKyO CaBiNeT";
constexpr size_t FLAGS = 33;
constexpr int OPEN = 1;

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

struct DeleteTree {
  void operator()(TCBDB* tree) const { tcbdbdel(tree); }
};

int logarithm(uint32_t number) {
  int power = 0;
  while (number >>= 1) power++;
  return power;
}

// Reads a leaf page:
//
//     previous, next | ksiz, vsiz, rest | key, value | vsiz, value (rest times) | ksiz ...
//
// Numbers have seven bits a byte, the lowest first; in all bytes but the last they are inverted.
class Page {
 public:
  explicit Page(Bytes bytes) : left_(bytes) {
    number();
    number();
  }

  bool has_more() const { return whole_ && !left_.empty(); }
  // False once the page has ended where it should not.
  bool whole() const { return whole_; }

  uint64_t number() {
    uint64_t number = 0;
    for (int shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(left_[0]);
      left_.remove_prefix(1);
      number |= static_cast<uint64_t>((byte & 0x80 ? ~byte : byte) & 0x7F) << shift;
      if (!(byte & 0x80)) return number;
    }
    whole_ = false;
    return 0;
  }

  Bytes take(uint64_t size) {
    if (size > left_.size()) whole_ = false;
    const Bytes taken = left_.substr(0, size);
    left_.remove_prefix(taken.size());
    return taken;
  }

 private:
  Bytes left_;
  bool whole_ = true;
};

// Numbers of the leaf pages. They are the keys in a hash database, in hexadecimal; other pages have
// keys that begin otherwise. A page that was split off has a higher number, and is newer.
std::vector<uint64_t> leaves(TCHDB* pages) {
  std::vector<uint64_t> numbers;
  const auto cursor = hash_cursor(pages, false);
  for (bool here = cursor->open(); here; here = cursor->next()) {
    const std::string name(cursor->key);
    char* end;
    const uint64_t number = std::strtoull(name.c_str(), &end, 16);
    if (*end == '\0' && !name.empty()) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// Stores the records of a page, instead of those with the same keys of the pages before.
void store_page(Bytes bytes, TCBDB* tree) {
  Page page(bytes);
  while (page.has_more()) {
    const uint64_t key_size = page.number(), value_size = page.number();
    uint64_t rest = page.number();
    const Bytes key = page.take(key_size);
    Bytes value = page.take(value_size);
    if (!page.whole()) return;
    tcbdbout3(tree, key.data(), length(key));
    for (;;) {
      tcbdbputdup(tree, key.data(), length(key), value.data(), length(value));
      if (rest-- == 0 || !page.has_more()) break;
      value = page.take(page.number());
      if (!page.whole()) return;
    }
  }
}

}  // namespace

bool was_left_open(const std::string& path) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  char head[FLAGS + 1];
  return file && std::fread(head, 1, sizeof head, file.get()) == sizeof head &&
         std::memcmp(head, MAGIC, sizeof MAGIC - 1) == 0 && (head[FLAGS] & OPEN);
}

bool rescue_tree(TCBDB* torn, const std::string& path) {
  const std::unique_ptr<TCBDB, DeleteTree> tree(tcbdbnew());
  tcbdbsetcmpfunc(tree.get(), tcbdbcmpfunc(torn), tcbdbcmpop(torn));
  tcbdbtune(tree.get(), static_cast<int32_t>(tcbdblmemb(torn)),
            static_cast<int32_t>(tcbdbnmemb(torn)), static_cast<int64_t>(tcbdbbnum(torn)),
            static_cast<int8_t>(logarithm(tcbdbalign(torn))),
            static_cast<int8_t>(logarithm(tcbdbfbpmax(torn))), tcbdbopts(torn));
  if (!tcbdbopen(tree.get(), path.c_str(), BDBOWRITER | BDBOCREAT | BDBOTRUNC)) return false;
  for (const uint64_t number : leaves(torn->hdb)) {
    char name[24];
    const int size =
        std::snprintf(name, sizeof name, "%llx", static_cast<unsigned long long>(number));
    int page_size = 0;
    void* found = tchdbget(torn->hdb, name, size, &page_size);
    const Block page(found, page_size);
    if (page) store_page(page.bytes(), tree.get());
  }
  return tcbdbclose(tree.get());
}

}  // namespace kt::tokyo
