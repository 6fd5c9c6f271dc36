//! What the conformance suite cannot ask of every backend: files, crashes, groups, copies, and a host's own transactions.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod files;
#[cfg(test)]
#[cfg(test)]
mod forms;
#[cfg(test)]
mod full;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod records;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod upkeep;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod within;
#[cfg(test)]
mod within_damage;
