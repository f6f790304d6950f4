// A database that keeps nothing (#type=void): Kyoto Tycoon's plug-in of that name.
//
// Every record is absent, whatever has been stored. So what is written goes to the update log only: the
// server is a master that hands changes on, and needs neither memory nor a file for the records.

#ifndef KT_KYOTO_VOID_H
#define KT_KYOTO_VOID_H

#include "kyoto/storage/engine.h"

namespace kt {

namespace kc = kyotocabinet;

class VoidEngine final : public kc::BasicDB {
 public:
  Error error() const override { return error_; }
  void set_error(const char*, int32_t, const char*, Error::Code code, const char* message) override {
    error_->set(code, message);
  }
  bool open(const std::string& spec, uint32_t) override {
    path_ = spec.substr(0, spec.find('#'));
    return true;
  }
  bool close() override { return true; }
  bool accept(const char* key, size_t size, Visitor* visitor, bool) override {
    size_t ignored;
    visitor->visit_empty(key, size, &ignored);
    return true;
  }
  bool accept_bulk(const std::vector<std::string>& keys, Visitor* visitor, bool writable) override {
    visitor->visit_before();
    for (const std::string& key : keys) accept(key.data(), key.size(), visitor, writable);
    visitor->visit_after();
    return true;
  }
  bool iterate(Visitor*, bool, ProgressChecker*) override { return true; }
  bool scan_parallel(Visitor*, size_t, ProgressChecker*) override { return true; }
  bool synchronize(bool, FileProcessor* processor, ProgressChecker*) override {
    return occupy(true, processor);
  }
  bool occupy(bool, FileProcessor* processor) override {
    if (processor == nullptr || processor->process(path_, 0, 0)) return true;
    error_->set(Error::LOGIC, "processing failed");
    return false;
  }
  bool begin_transaction(bool) override { return true; }
  bool begin_transaction_try(bool) override { return true; }
  bool end_transaction(bool) override { return true; }
  bool clear() override { return true; }
  int64_t count() override { return 0; }
  int64_t size() override { return 0; }
  std::string path() override { return path_; }
  bool status(std::map<std::string, std::string>* status) override {
    (*status)["type"] = std::to_string(unsigned{TYPEMISC});
    (*status)["path"] = path_;
    (*status)["count"] = (*status)["size"] = "0";
    return true;
  }
  kc::BasicDB::Cursor* cursor() override { return new Nowhere(this); }
  void log(const char*, int32_t, const char*, Logger::Kind, const char*) override {}
  bool tune_logger(Logger*, uint32_t) override { return true; }
  bool tune_meta_trigger(MetaTrigger*) override { return true; }

 private:
  // A cursor that finds no record.
  class Nowhere final : public kc::BasicDB::Cursor {
   public:
    explicit Nowhere(VoidEngine* engine) : engine_(engine) {}
    bool accept(Visitor*, bool, bool) override { return none(); }
    bool jump() override { return none(); }
    bool jump(const char*, size_t) override { return none(); }
    bool jump(const std::string&) override { return none(); }
    bool jump_back() override { return none(); }
    bool jump_back(const char*, size_t) override { return none(); }
    bool jump_back(const std::string&) override { return none(); }
    bool step() override { return none(); }
    bool step_back() override { return none(); }
    kc::BasicDB* db() override { return engine_; }

   private:
    bool none() {
      engine_->error_->set(Error::NOREC, "no record");
      return false;
    }

    VoidEngine* const engine_;
  };

  kc::TSD<Error> error_;
  std::string path_;
};

}  // namespace kt

#endif
