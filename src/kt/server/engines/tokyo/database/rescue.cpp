#include "tokyo/database/rescue.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <tctdb.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "tokyo/database/cursor.h"
#include "tokyo/database/hash_file.h"
#include "tokyo/database/store.h"
#include "tokyo/storage/tree_room.h"

namespace kt::tokyo {

namespace {

// The begin of every file: magic bytes, ..., flags.
constexpr char MAGIC[] = "ToKyO CaBiNeT";
constexpr size_t TYPE = 32, FLAGS = 33, FIRST_RECORD = 64;
constexpr char FIXED_TYPE = 2;
constexpr int OPEN = 1;
constexpr size_t OPAQUE = 128;  // bytes for whoever stands on the hash database
constexpr size_t HEADER = 256;

// In either byte order; in the wrong one it would be far away.
uint64_t first_record(const char* header) {
  uint64_t forward = 0, backward = 0;
  for (size_t i = 0; i < 8; i++) {
    forward = forward << 8 | static_cast<uint8_t>(header[FIRST_RECORD + i]);
    backward = backward << 8 | static_cast<uint8_t>(header[FIRST_RECORD + 7 - i]);
  }
  return std::min(forward, backward);
}

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

struct DeleteHash {
  void operator()(TCHDB* database) const { tchdbdel(database); }
};
using HashPointer = std::unique_ptr<TCHDB, DeleteHash>;

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

bool comes_before(TCBDB* tree, Bytes left, Bytes right) {
  return tcbdbcmpfunc(tree)(left.data(), length(left), right.data(), length(right),
                            tcbdbcmpop(tree)) < 0;
}

// Stores the records of a page, instead of those with the same keys of the pages before. False if
// one cannot be stored. A page that was written over half-way has records up to some place, and
// nonsense from there on, whose keys are not in order.
bool store_page(Bytes bytes, TCBDB* tree, TreeRoom* room) {
  Page page(bytes);
  for (Bytes before; page.has_more();) {
    const uint64_t key_size = page.number(), value_size = page.number();
    uint64_t rest = page.number();
    const Bytes key = page.take(key_size);
    Bytes value = page.take(value_size);
    if (!page.whole() || (before.data() != nullptr && !comes_before(tree, before, key))) return true;
    before = key;
    if (!room->admits_removal(key)) return false;
    tcbdbout3(tree, key.data(), length(key));
    for (;;) {
      if (!room->admits(key, value.size())) return false;
      if (!tcbdbputdup(tree, key.data(), length(key), value.data(), length(value))) return false;
      if (rest-- == 0 || !page.has_more()) break;
      value = page.take(page.number());
      if (!page.whole()) return true;
    }
  }
  return true;
}

bool store_leaves(TCHDB* pages, TCBDB* tree) {
  TreeRoom room(tree);
  for (const uint64_t number : leaves(pages)) {
    char name[24];
    const int size =
        std::snprintf(name, sizeof name, "%llx", static_cast<unsigned long long>(number));
    int page_size = 0;
    void* found = tchdbget(pages, name, size, &page_size);
    const Block page(found, page_size);
    if (page && !store_page(page.bytes(), tree, &room)) return false;
  }
  return true;
}

// What is for users of the tree.
bool copy_opaque(TCBDB* from, TCBDB* to) {
  std::memcpy(tcbdbopaque(to), tcbdbopaque(from), OPAQUE / 2);
  return true;
}

// A hash database with the tuning of another.
HashPointer similar(const TCHDB* other) {
  HashPointer database(tchdbnew());
  tchdbsettype(database.get(), other->type);
  tchdbtune(database.get(), static_cast<int64_t>(other->bnum), static_cast<int8_t>(other->apow),
            static_cast<int8_t>(other->fpow), other->opts);
  return database;
}

}  // namespace

bool was_left_open(const std::string& path) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  char head[FLAGS + 1];
  return file && std::fread(head, 1, sizeof head, file.get()) == sizeof head &&
         std::memcmp(head, MAGIC, sizeof MAGIC - 1) == 0 && (head[FLAGS] & OPEN);
}

void undo_making(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "r+b"));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (!file || fcntl(fileno(file.get()), F_SETLK, &lock) != 0) return;
  char header[HEADER];
  if (std::fread(header, 1, HEADER, file.get()) != HEADER) return;
  if (std::memcmp(header, MAGIC, sizeof MAGIC - 1) != 0 || header[TYPE] == FIXED_TYPE) return;
  if (fstat(fileno(file.get()), &status) != 0) return;
  if (static_cast<uint64_t>(status.st_size) >= first_record(header)) return;
  if (ftruncate(fileno(file.get()), 0) != 0) return;  // the library says that it is broken
}

bool is_sound(TCHDB* database) {
  uint64_t count;
  if (!HashFile(database).sound(&count)) return false;
  if (count != database->rnum && (database->omode & HDBOWRITER)) {
    database->rnum = count;
    tchdbmemsync(database, false);
  }
  return true;
}

bool rescue_hash(TCHDB* torn, const std::string& path) {
  const HashPointer fresh = similar(torn);
  if (!tchdbopen(fresh.get(), path.c_str(), HDBOWRITER | HDBOCREAT | HDBOTRUNC)) return false;
  const bool compresses = fresh->zmode;
  fresh->zmode = false;  // values are copied as they are stored
  FileRoom room(fresh.get());
  const bool copied = HashFile(torn).each([&](Bytes key, Bytes value) {
    if (!room.has(room.record(key.size(), value.size()))) return false;
    // What is found by its key comes first, and is newer than what only lies there.
    return tchdbputkeep(fresh.get(), key.data(), length(key), value.data(), length(value)) ||
           (!fresh->fatal && tchdbecode(fresh.get()) == TCEKEEP);
  });
  fresh->zmode = compresses;
  std::memcpy(tchdbopaque(fresh.get()), tchdbopaque(torn), OPAQUE);
  return copied && tchdbmemsync(fresh.get(), true) && tchdbclose(fresh.get());
}

bool rescue_tree(TCBDB* torn, const std::string& path) {
  const std::string pages_path = path + ".pages";
  HashPointer pages;
  if (!is_sound(torn->hdb)) {
    pages = similar(torn->hdb);
    if (!rescue_hash(torn->hdb, pages_path) ||
        !tchdbopen(pages.get(), pages_path.c_str(), HDBOREADER)) {
      unlink(pages_path.c_str());
      return false;
    }
  }
  const std::unique_ptr<TCBDB, DeleteTree> tree(tcbdbnew());
  tcbdbsetcmpfunc(tree.get(), tcbdbcmpfunc(torn), tcbdbcmpop(torn));
  tcbdbtune(tree.get(), static_cast<int32_t>(tcbdblmemb(torn)),
            static_cast<int32_t>(tcbdbnmemb(torn)), static_cast<int64_t>(tcbdbbnum(torn)),
            static_cast<int8_t>(logarithm(tcbdbalign(torn))),
            static_cast<int8_t>(logarithm(tcbdbfbpmax(torn))), tcbdbopts(torn));
  const bool done =
      tcbdbopen(tree.get(), path.c_str(), BDBOWRITER | BDBOCREAT | BDBOTRUNC) &&
      store_leaves(pages ? pages.get() : torn->hdb, tree.get()) &&
      copy_opaque(torn, tree.get()) && tcbdbmemsync(tree.get(), true) && tcbdbclose(tree.get());
  if (pages) unlink(pages_path.c_str());
  return done;
}

void recount(TCFDB* database) {
  const auto slot = static_cast<size_t>(database->rsiz);
  const uint64_t slots =
      std::min<uint64_t>((database->fsiz - HEADER) / slot, database->limid);
  uint64_t count = 0, least = 0, greatest = 0;
  for (uint64_t id = 1; id <= slots; id++) {
    // A size, which is 0 where there is no record; a record of size 0 has a 1 behind it.
    const unsigned char* at = database->array + (id - 1) * slot;
    const unsigned char* end = at + database->wsiz + 1;
    if (std::all_of(at, end, [](unsigned char byte) { return byte == 0; })) continue;
    if (count++ == 0) least = id;
    greatest = id;
  }
  database->rnum = count;
  database->min = least;
  database->max = greatest;
  if (database->omode & FDBOWRITER) tcfdbmemsync(database, false);
}

std::string replace_and_keep(const std::string& file, const std::string& fresh) {
  const std::string plain = file + ".torn";
  std::string kept = plain;
  // A link, so that there is a file of this name at any moment.
  for (int number = 2; link(file.c_str(), kept.c_str()) != 0; number++) {
    if (errno != EEXIST) return "";
    kept = plain + std::to_string(number);
  }
  if (std::rename(fresh.c_str(), file.c_str()) == 0) return kept;
  unlink(kept.c_str());
  return "";
}

std::vector<std::pair<std::string, int>> index_files(const std::string& table) {
  static const std::pair<const char*, int> KINDS[] = {
      {".lex", TDBITLEXICAL}, {".dec", TDBITDECIMAL}, {".tok", TDBITTOKEN}, {".qgr", TDBITQGRAM}};
  const std::string stem = table + ".idx.";
  const ListPointer found(tcglobpat((stem + "*").c_str()));
  std::vector<std::pair<std::string, int>> indices;
  for (int i = 0; i < tclistnum(found.get()); i++) {
    const std::string path(element(found.get(), i));
    if (path.compare(0, stem.size(), stem) != 0 || path.size() < stem.size() + 4) continue;
    for (const auto& [suffix, type] : KINDS) {
      if (path.compare(path.size() - 4, 4, suffix) != 0) continue;
      const std::string encoded = path.substr(stem.size(), path.size() - 4 - stem.size());
      int size;
      const std::unique_ptr<char, decltype(&std::free)> name(tcurldecode(encoded.c_str(), &size),
                                                             std::free);
      indices.emplace_back(name.get(), type);
    }
  }
  return indices;
}

}  // namespace kt::tokyo
