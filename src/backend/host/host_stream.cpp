#include "backend/host/host_stream.h"

#include <cstring>
#include <future>
#include <optional>
#include <system_error>
#include <thread>

#include "backend/host/host_ledger.h"
#include "backend/host/host_threads.h"
#include "base/error.h"
#include "kernels/cpu/thread_setup.h"

namespace diabolo {

namespace {

// One entry of a queue: exactly one of its members is set.
struct Task {
  HostWork work;
  SharedHostWork shared;
  std::shared_ptr<HostPoint> reached;        // an event to be marked
  std::shared_ptr<const HostPoint> awaited;  // an event of another stream to wait for
};

// Does a task in the worker's or the caller's thread. Points are always waited for and marked, also
// while work is dropped, so that what comes later keeps its order.
void perform(const Task& task, uint64_t number, HostLedger& ledger) {
  if (task.reached) {
    task.reached->failure = ledger.failure();
    return;
  }
  if (task.awaited) {
    task.awaited->wait_until_done();
    if (task.awaited->failure && !ledger.drops(number)) ledger.keep_failure(task.awaited->failure);
    return;
  }
  if (ledger.drops(number)) return;
  try {
    task.work ? task.work(nullptr) : (*task.shared)(nullptr);
  } catch (...) {
    ledger.keep_failure(std::current_exception());
  }
}

// A queue that allocates only when it has to grow.
class TaskRing {
 public:
  bool empty() const { return count_ == 0; }

  void push(Task task) {
    if (count_ == slots_.size()) grow();
    slots_[(first_ + count_++) % slots_.size()] = std::move(task);
  }

  Task pop() {
    Task task = std::move(slots_[first_]);
    slots_[first_] = Task();
    first_ = (first_ + 1) % slots_.size();
    --count_;
    return task;
  }

 private:
  void grow() {
    std::vector<Task> larger(2 * slots_.size());
    for (size_t i = 0; i < count_; ++i) {
      larger[i] = std::move(slots_[(first_ + i) % slots_.size()]);
    }
    slots_ = std::move(larger);
    first_ = 0;
  }

  std::vector<Task> slots_ = std::vector<Task>(64);
  size_t first_ = 0;
  size_t count_ = 0;
};

// What both kinds of stream share; `enqueue` is where they differ.
class QueueStream : public HostStream {
 public:
  void submit(HostWork work) override { enqueue({std::move(work), {}, {}, {}}); }
  void submit_shared(const SharedHostWork& work) override { enqueue({{}, work, {}, {}}); }

  std::unique_ptr<Event> record_event() override {
    auto point = std::make_shared<HostPoint>();
    point->ledger = ledger_;
    point->number = ledger_->submitted() + 1;
    enqueue({{}, {}, point, {}});
    return std::make_unique<HostEvent>(point);
  }

  void wait_for(const Event& event) override { enqueue({{}, {}, {}, host_point(event)}); }

  void synchronize() override {
    ledger_->wait_until_done(ledger_->submitted());
    const std::exception_ptr failure = ledger_->failure();
    if (!failure) return;
    ledger_->forget(failure);
    std::rethrow_exception(failure);
  }

 protected:
  virtual void enqueue(Task task) = 0;

  std::shared_ptr<HostLedger> ledger_ = std::make_shared<HostLedger>();
};

class WorkerStream : public QueueStream {
 public:
  WorkerStream(const std::vector<int>& cpus, int threads) : cpus_(cpus), threads_(threads) {
    std::promise<void> ready;
    std::future<void> is_ready = ready.get_future();
    {
      const SignalsBlocked blocked;
      thread_ = start_thread([this, &ready] { work(ready); });
    }
    try {
      is_ready.get();
    } catch (const std::system_error& error) {
      thread_.join();
      throw thread_error(error);
    } catch (...) {
      thread_.join();
      throw;
    }
  }

  ~WorkerStream() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

 private:
  void enqueue(Task task) override {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      queue_.push(std::move(task));
      ledger_->add_submitted();
      wake = sleeping_;
    }
    if (wake) wake_.notify_one();
  }

  // The next task; false when the stream is being destroyed and everything has been done.
  bool take(Task& task, uint64_t number) {
    ledger_->spin_until_submitted(number);
    std::unique_lock lock(mutex_);
    sleeping_ = true;
    wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    sleeping_ = false;
    if (queue_.empty()) return false;
    task = queue_.pop();
    return true;
  }

  void work(std::promise<void>& ready) {
    kernels::cpu::confine_this_thread(cpus_);
    std::optional<kernels::cpu::WorkerSetup> setup;
    try {
      setup.emplace(threads_, cpus_);
    } catch (...) {
      return ready.set_exception(std::current_exception());
    }
    ready.set_value();
    Task task;
    for (uint64_t number = 1; take(task, number); ++number) {
      ledger_->begin();
      perform(task, number, *ledger_);
      task = Task();  // what the closure holds is gone by the time that anybody hears it is done
      ledger_->finish(number);
    }
  }

  const std::vector<int> cpus_;
  const int threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  TaskRing queue_;
  bool sleeping_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

class CallerStream : public QueueStream {
 private:
  void enqueue(Task task) override {
    ledger_->add_submitted();
    const uint64_t number = ledger_->submitted();
    {
      const kernels::cpu::CallerSetup setup;
      perform(task, number, *ledger_);
    }
    ledger_->finish(number);
  }
};

}  // namespace

void HostStream::copy_in(void* device, const void* host, uint64_t bytes) {
  copy_within(device, host, bytes);
}

void HostStream::copy_out(void* host, const void* device, uint64_t bytes) {
  copy_within(host, device, bytes);
}

void HostStream::copy_within(void* to, const void* from, uint64_t bytes) {
  if (bytes == 0) return;
  submit([=](void*) { std::memmove(to, from, bytes); });
}

void HostStream::fill(void* device, uint8_t value, uint64_t bytes) {
  if (bytes == 0) return;
  submit([=](void*) { std::memset(device, value, bytes); });
}

std::unique_ptr<HostStream> create_worker_stream(const std::vector<int>& cpus, int threads) {
  return std::make_unique<WorkerStream>(cpus, threads);
}

std::unique_ptr<HostStream> create_caller_stream() {
  return std::make_unique<CallerStream>();
}

}  // namespace diabolo
