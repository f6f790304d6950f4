// What Python gives the engine to call: visitors, processors and the log.
//
// The engine calls them with its locks held and without the GIL. A function that is called so must
// not call that engine, which would wait for itself; `Callback::running()` lets others refuse that.
// It may call the engine of another database.

#ifndef KT_KYOTO_CALLBACKS_H
#define KT_KYOTO_CALLBACKS_H

#include <cerrno>
#include <string>

#include "kyoto/database/record.h"

namespace kt {

// Marks the thread as being inside of a function that an engine has called; null: any engine.
class Callback {
 public:
  explicit Callback(const void* engine) : engine_(engine), outer_(innermost_) { innermost_ = this; }
  ~Callback() { innermost_ = outer_; }
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;

  static bool running(const void* engine) {
    for (const Callback* callback = innermost_; callback; callback = callback->outer_) {
      if (!callback->engine_ || callback->engine_ == engine) return true;
    }
    return false;
  }

 private:
  static inline thread_local const Callback* innermost_ = nullptr;
  const void* const engine_;
  const Callback* const outer_;
};

class CallbackVisitor final : public RecordVisitor {
 public:
  // `value` is null where there is no record.
  using Function = Change (*)(void* context, const Bytes& key, const Bytes* value, int64_t xt);

  CallbackVisitor(Function function, void* context, const void* engine, bool skips_expired)
      : RecordVisitor(skips_expired), function_(function), context_(context), engine_(engine) {}

 private:
  Change on_record(Bytes key, Bytes value, int64_t xt) override {
    Callback callback(engine_);
    return function_(context_, key, &value, xt);
  }
  Change on_absence(Bytes key) override {
    Callback callback(engine_);
    return function_(context_, key, nullptr, 0);
  }

  const Function function_;
  void* const context_;
  const void* const engine_;
};

class CallbackProcessor final : public kc::BasicDB::FileProcessor {
 public:
  using Function = bool (*)(void* context, const std::string& path, int64_t count, int64_t size);

  CallbackProcessor(Function function, void* context, const void* engine)
      : function_(function), context_(context), engine_(engine) {}

 private:
  bool process(const std::string& path, int64_t count, int64_t size) override {
    Callback callback(engine_);
    return function_(context_, path, count, size);
  }

  const Function function_;
  void* const context_;
  const void* const engine_;
};

class CallbackLogger final : public kc::BasicDB::Logger {
 public:
  using Function = void (*)(void* context, const char* kind, const char* message);

  CallbackLogger(Function function, void* context) : function_(function), context_(context) {}

 private:
  void log(const char*, int32_t, const char*, Kind kind, const char* message) override {
    const int kept = errno;  // whoever opens a file wants to know it
    Callback callback(nullptr);
    function_(context_, name(kind), message);
    errno = kept;
  }

  static const char* name(Kind kind) {
    switch (kind) {
      case DEBUG: return "DEBUG";
      case INFO: return "INFO";
      case WARN: return "WARN";
      default: return "ERROR";
    }
  }

  const Function function_;
  void* const context_;
};

}  // namespace kt

#endif
