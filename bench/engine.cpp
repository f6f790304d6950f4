// What the engine library itself does: the yardstick of bench/local.py. One thread, files made anew.
//
//     engine PATH RECORDS SECONDS
//
// PATH ends in .kch or .kct. Keys have 10 bytes, values 105: 100, and 5 for the expiry. Writes lines
// of a name and a rate, records per second of processor time.
#include <kchashdb.h>
#include <kcplantdb.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

namespace {

using kyotocabinet::BasicDB;

double processor_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

void check(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "engine: %s failed\n", what);
  std::exit(1);
}

// The same keys in the same order as local.py has them.
std::vector<std::string> keys_of(long count) {
  std::vector<std::string> keys;
  keys.reserve(count);
  char key[24];
  for (long i = 0; i < count; i++) {
    std::snprintf(key, sizeof key, "%010ld", i * 7919 % count);
    keys.emplace_back(key);
  }
  return keys;
}

template <typename Work>
void timed(const char* name, const std::vector<std::string>& keys, double seconds, Work work) {
  double begin = processor_seconds();
  double spent = 0;
  size_t done = 0;
  while (done < keys.size() && spent < seconds) {
    size_t end = std::min(done + 1000, keys.size());
    for (; done < end; done++) work(keys[done]);
    spent = processor_seconds() - begin;
  }
  std::printf("%s %.0f\n", name, done / spent);
}

void measure(BasicDB& db, const std::vector<std::string>& keys, double seconds) {
  const std::string value(105, 'v');
  timed("bulk", keys, 1e9, [&](const std::string& key) {
    check(db.set(key.data(), key.size(), value.data(), value.size()), "set");
  });
  timed("set", keys, seconds, [&](const std::string& key) {
    check(db.set(key.data(), key.size(), value.data(), value.size()), "set");
  });
  char room[128];
  timed("get", keys, seconds, [&](const std::string& key) {
    check(db.get(key.data(), key.size(), room, sizeof room) == 105, "get");
  });
  BasicDB::Cursor* cursor = db.cursor();
  check(cursor->jump(), "jump");
  timed("items", keys, 1e9, [&](const std::string&) {
    size_t key_size, value_size;
    const char* value_start;
    char* record = cursor->get(&key_size, &value_start, &value_size, true);
    check(record != nullptr, "cursor");
    delete[] record;
  });
  delete cursor;
}

}  // namespace

int main(int argc, char** argv) {
  check(argc == 4, "reading PATH RECORDS SECONDS");
  std::string path = argv[1];
  BasicDB* db = path.back() == 'h' ? static_cast<BasicDB*>(new kyotocabinet::HashDB)
                                   : new kyotocabinet::TreeDB;
  check(db->open(path, BasicDB::OWRITER | BasicDB::OCREATE | BasicDB::OTRUNCATE), "open");
  measure(*db, keys_of(std::atol(argv[2])), std::atof(argv[3]));
  check(db->close(), "close");
  delete db;
}
