// multiprocessing/remote/connection/listener_state.ipp
//
// How a listener serves many handshakes at once: see listener_state.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/connection/listener_state.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/remote/connection/handshake_peer.hpp"
#include "multiprocessing/remote/connection/socket.hpp"

namespace multiprocessing::detail {

inline std::size_t SocketNotes::note(int fd) noexcept {
    std::size_t place = 0;
    while (place < most && words_[place].load() != 0) ++place;
    if (place < most) words_[place].store(fd + 1);
    return place;
}

inline void SocketNotes::close_all() noexcept {
    for (std::atomic<int>& word : words_) {
        if (const int fd = word.exchange(0) - 1; fd >= 0) Descriptor{fd}.reset();
    }
}

inline void LatestAddress::set(const Address& address) noexcept {
    const std::size_t next = 1 - latest_.load();
    const std::string& text = address.is_tcp() ? address.host() : address.path();
    Plain& plain = plain_[next];
    plain.size = text.copy(plain.text, sizeof plain.text);
    plain.port = address.port();
    latest_.store(next);
}

inline Address LatestAddress::get() const {
    const Plain& plain = plain_[latest_.load()];
    const std::string text(plain.text, plain.size);
    return plain.port >= 0 ? Address(text, plain.port) : Address(text);
}

inline ListenerState::ListenerState(Address address, std::optional<std::string> authkey,
                                    int backlog, Timeout handshake_timeout)
    : authkey_(std::move(authkey)), handshake_timeout_(handshake_timeout) {
    heap();  // from here on this process counts its forks
    if (address.empty()) address = file_.make_folder();
    listening_ = listen_at(address, backlog);
    if (!address.is_tcp() && !address.is_abstract()) file_.was_made(address.path());
    address_ = bound_address(listening_.get());
    make_waiting_place();
}

inline ListenerState::~ListenerState() {
    close();
    // Also in a process that was forked while another thread closed it.
    if (depth_ != fork_depth()) forget_inherited();
}

inline void ListenerState::make_waiting_place() {
    wake_ = out_of_the_way(
        open_descriptor("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }));
    waiting_place_ = out_of_the_way(
        open_descriptor("epoll_create1", [] { return ::epoll_create1(EPOLL_CLOEXEC); }));
    watch(EPOLL_CTL_ADD, wake_.get(), EPOLLIN, &wake_);
    watch(EPOLL_CTL_ADD, listening_.get(), EPOLLIN, &listening_);
    depth_ = fork_depth();  // last: where one of these has failed, the next call tries again
}

inline void ListenerState::watch(int operation, int fd, std::uint32_t events, void* guest) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = guest;
    checked(::epoll_ctl(waiting_place_.get(), operation, fd, &event), "epoll_ctl");
}

inline void ListenerState::renew_if_forked() {
    if (depth_ == fork_depth()) return;
    // Both are the parent's too, so its guests would come up here.
    forget_inherited();
    guests_ = std::make_unique<Guests>();
    is_full_ = false;
    wake_.reset();
    waiting_place_.reset();
    make_waiting_place();
}

inline void ListenerState::forget_inherited() noexcept {
    (void)guests_.release();
    notes_.close_all();
}

inline void ListenerState::check_open() const {
    if (closed()) throw ValueError("listener is closed");
}

inline std::optional<Descriptor> ListenerState::accept(const Deadline& deadline) {
    check_open();
    const std::scoped_lock lock(accepting_);
    check_open();
    renew_if_forked();
    const auto away = Clock::now() - left_;
    for (Guest& guest : *guests_) {
        if (guest.deadline != (Clock::time_point::max)()) guest.deadline += away;
    }
    struct Leaving {
        ListenerState& state;
        ~Leaving() { state.left_ = Clock::now(); }
    } const leaving{*this};
    for (;;) {
        if (auto fd = take_event(deadline)) return fd;
        check_open();
        if (deadline.has_passed()) return std::nullopt;
    }
}

inline int ListenerState::milliseconds_until(const Deadline& deadline) const {
    constexpr std::chrono::nanoseconds most = std::chrono::hours(1);
    std::chrono::nanoseconds wait = deadline.is_forever() ? most : deadline.left();
    if (!guests_->empty() && guests_->front().deadline != (Clock::time_point::max)()) {
        wait = (std::min)(wait, std::chrono::nanoseconds(guests_->front().deadline - Clock::now()));
    }
    wait = std::clamp(wait, std::chrono::nanoseconds(0), most);
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

inline std::optional<Descriptor> ListenerState::take_event(const Deadline& deadline) {
    epoll_event event{};
    const int count = ::epoll_wait(waiting_place_.get(), &event, 1, milliseconds_until(deadline));
    if (count < 0 && errno != EINTR) throw_system_error("epoll_wait");
    if (count > 0) {
        if (auto fd = handle(event.data.ptr)) return fd;
    }
    return expire();
}

inline std::optional<Descriptor> ListenerState::handle(void* source) {
    if (source == &wake_) return std::nullopt;  // written to by close, which accept looks at next
    if (source == &listening_) return take_connection();
    return advance(*static_cast<Guest*>(source));
}

inline std::optional<Descriptor> ListenerState::take_connection() {
    AcceptedSocket accepted = accept_from(listening_.get());
    if (!accepted.fd) return std::nullopt;
    if (!authkey_) return complete(std::move(accepted.fd), accepted.peer);
    constexpr std::chrono::nanoseconds longest = std::chrono::hours(24 * 365 * 100);
    const auto timeout = handshake_timeout_.nanoseconds() > longest
                             ? (Clock::time_point::max)()
                             : Clock::now() + handshake_timeout_.nanoseconds();
    guests_->push_back(
        {HandshakePeer(std::move(accepted.fd), std::move(accepted.peer), *authkey_, Side::listener),
         timeout,
         0,
         {},
         0});
    Guest& guest = guests_->back();
    guest.place = std::prev(guests_->end());
    guest.note = notes_.note(guest.peer.fileno());
    if (guests_->size() == most_guests && !std::exchange(is_full_, true)) {
        watch(EPOLL_CTL_MOD, listening_.get(), 0, &listening_);
    }
    return advance(guest);
}

inline std::optional<Descriptor> ListenerState::advance(Guest& guest) {
    bool is_complete = false;
    try {
        is_complete = guest.peer.advance();
        if (!is_complete) {
            const auto events = static_cast<std::uint32_t>(guest.peer.events());  // as EPOLLIN
            if (events == guest.events) return std::nullopt;
            watch(guest.events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, guest.peer.fileno(), events,
                  &guest);
            guest.events = events;
            return std::nullopt;
        }
    } catch (...) {
        remove(guest);
        throw;
    }
    const Address peer = guest.peer.address();
    Descriptor fd = guest.peer.take_socket();
    // Not by closing it, as with the others: another process may have a copy.
    if (guest.events != 0) watch(EPOLL_CTL_DEL, fd.get(), 0, nullptr);
    remove(guest);
    return complete(std::move(fd), peer);
}

inline std::optional<Descriptor> ListenerState::expire() {
    if (guests_->empty() || Clock::now() < guests_->front().deadline) return std::nullopt;
    Guest& guest = guests_->front();
    const std::size_t before = guests_->size();
    if (auto fd = advance(guest)) return fd;  // what it has sent may not have been looked at
    if (guests_->size() != before) return std::nullopt;
    struct Removal {
        ListenerState& state;
        Guest& guest;
        ~Removal() { state.remove(guest); }
    } const removal{*this, guest};
    guest.peer.throw_timed_out();
}

inline Descriptor ListenerState::complete(Descriptor fd, const Address& peer) {
    const std::scoped_lock lock(naming_);
    last_accepted_.set(peer);
    return fd;
}

inline void ListenerState::remove(Guest& guest) noexcept {
    if (guest.events != 0 && guest.peer.fileno() >= 0) {
        // A forked process may have a copy, so closing it is not enough.
        (void)::epoll_ctl(waiting_place_.get(), EPOLL_CTL_DEL, guest.peer.fileno(), nullptr);
    }
    notes_.forget(guest.note);
    guests_->erase(guest.place);
    if (!std::exchange(is_full_, false)) return;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &listening_;
    (void)::epoll_ctl(waiting_place_.get(), EPOLL_CTL_MOD, listening_.get(), &event);
}

inline void ListenerState::close() noexcept {
    if (closed_.exchange(true)) return;
    if (depth_ == fork_depth()) {
        const std::uint64_t one = 1;
        (void)!::write(wake_.get(), &one, sizeof(one));
    }
    const std::scoped_lock lock(accepting_);
    if (depth_ != fork_depth()) {
        forget_inherited();
    } else {
        for (const Guest& guest : *guests_) notes_.forget(guest.note);
        guests_->clear();
    }
    listening_.reset();
    waiting_place_.reset();
    wake_.reset();
    file_.remove();
}

inline Address ListenerState::last_accepted() {
    const std::scoped_lock lock(naming_);
    return last_accepted_.get();
}

inline int ListenerState::fileno() {
    check_open();
    if (depth_ != fork_depth()) {
        const std::scoped_lock lock(accepting_);
        renew_if_forked();
    }
    return waiting_place_.get();
}

}  // namespace multiprocessing::detail
