// Who may touch the engine.
//
// Tokyo Cabinet's own locks are held for as long as an operation lasts: a scan of a million records
// would hold up everybody. So every access goes through a gate, one thread at a time, and what is
// long goes through it many times, a slice each time. Three locks make it fair:
//
//     Turn   (short)                 next -> data            release next once data is held
//     Slice  (part of a long one)    slices -> next -> data  likewise
//
// Whoever waits for `data` holds `next`. A scan that ends a slice and wants the next one therefore
// queues behind the short operation that waited meanwhile; and because only the holder of `slices`
// may queue for a slice, a short operation waits for one slice at most, however many scans run.

#ifndef KT_TOKYO_GATE_H
#define KT_TOKYO_GATE_H

#include <mutex>

namespace kt::tokyo {

class Gate {
 public:
  void enter() {
    std::lock_guard<std::mutex> queue(next_);
    data_.lock();
  }
  void leave() { data_.unlock(); }

  void enter_slice() {
    slices_.lock();
    enter();
  }
  void leave_slice() {
    leave();
    slices_.unlock();
  }

  class Turn {
   public:
    explicit Turn(Gate& gate) : gate_(gate) { gate_.enter(); }
    ~Turn() { gate_.leave(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Gate& gate_;
  };

  class Slice {
   public:
    explicit Slice(Gate& gate) : gate_(gate) { gate_.enter_slice(); }
    ~Slice() { gate_.leave_slice(); }
    Slice(const Slice&) = delete;
    Slice& operator=(const Slice&) = delete;

   private:
    Gate& gate_;
  };

 private:
  std::mutex slices_, next_, data_;
};

}  // namespace kt::tokyo

#endif
