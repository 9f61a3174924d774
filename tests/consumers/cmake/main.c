/* Refers to one stub and does not call it: this may not be the system that it is for. */
long NtClose(void *handle);

int main(int count, char **arguments)
{
    (void)arguments;
    return count > 100 ? (int)NtClose(0) : 0;
}
